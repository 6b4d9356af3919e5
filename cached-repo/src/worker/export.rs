//! Exporting an entity: everything that `redis_only` keeps goes to the store, and is removed from Redis.

use super::{
    moving::{Halt, Mover, Tries, moved, standings},
    snapshot::{Ask, Snapshot, copy_all, copy_partitions},
    survey::importing,
};
use crate::{
    backend::{Side, Standing},
    error::{Error, ErrorKind, Result},
    failpoint::Point,
    journal::{Copying, Older, TRIES_MAX, busy, fell_back},
};

/// Moves everything that `redis_only` keeps to the store.
pub(crate) async fn export(copying: &Copying) -> Result<Snapshot> {
    let (mut summary, mut tries) = (Snapshot::default(), Tries::default());
    loop {
        // Before another mover is waited for.
        let found = standings(copying).await?;
        check(&found)?;
        let is_back = |(_, at): &(_, Standing)| matches!(at.side, Side::Open | Side::Kept);
        if tries.was_overtaken && found.iter().all(is_back) {
            for &(partition, _) in &found {
                if copying.older(partition).await? == Some(Older::Redis) {
                    return Err(fell_back());
                }
            }
            if tries.finds_others(&found) {
                return Err(moved());
            }
        }
        tries.know(&found);
        let Some(mover) = Mover::begin(copying).await? else { continue };
        tries.know_mover(&mover);
        let exported = try_once(&mover, &mut summary).await;
        if let Some(exported) = mover.end(exported).await {
            return exported.map(|()| summary);
        }
        tries.was_overtaken = true;
    }
}

fn check(standings: &[(u32, Standing)]) -> Result<()> {
    let is_importing = |(_, at): &(_, Standing)| at.side == Side::Importing;
    if standings.iter().any(is_importing) { Err(importing()) } else { Ok(()) }
}

async fn try_once(mover: &Mover<'_>, summary: &mut Snapshot) -> Result<(), Halt> {
    let copying = mover.copying;
    let found = standings(copying).await?;
    check(&found)?;
    let (mut kept, mut leaving, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for &(partition, ref at) in &found {
        if at.side == Side::Stored {
            stored.push((partition, at.turned_by.clone()));
            continue;
        }
        // It was cut off here, or Redis came back in a state from before: the store has newer rows.
        let is_leaving = at.side == Side::Leaving;
        if is_leaving || copying.older(partition).await? == Some(Older::Redis) {
            mover.reach(Point::SidesSeen).await?;
            if !mover.take(partition, at, Side::Leaving).await? {
                return Err(Halt::Overtaken);
            }
            leaving.push(partition);
        } else {
            kept.push((partition, at.clone()));
        }
    }
    if !kept.is_empty() {
        mover.reopen(&kept).await?;
        copy_most(mover, &found, summary).await?;
        mover.reach(Point::SidesSeen).await?;
        leaving.extend(leave(mover, kept, summary).await?);
    }
    for &partition in &leaving {
        mover.reach(Point::SidesLeaving).await?;
        seal(mover, partition).await?;
    }
    // First the entries go, then others may write: a Redis that falls behind has none then that the store
    // has a newer row of.
    stored.extend(leaving.iter().map(|&partition| (partition, mover.token.clone())));
    mover.free(&stored).await?;
    for partition in leaving {
        mover.reach(Point::MoveDone).await?;
        if !mover.pass(partition, Side::Leaving, Side::Stored).await? {
            return Err(Halt::Overtaken);
        }
    }
    Ok(())
}

/// Copies most of it while others go on writing.
async fn copy_most(
    mover: &Mover<'_>,
    found: &[(u32, Standing)],
    summary: &mut Snapshot,
) -> Result<(), Halt> {
    let ask = Ask { retries: true, waits: true, skips_stored: true };
    match copy_all(mover.copying, ask).await {
        Ok(copied) => {
            summary.add(copied);
            complete(summary)?;
            Ok(())
        }
        Err(error) => {
            let now = standings(mover.copying).await;
            // What another mover has exported meanwhile is not copied any more. Anything else is an error of
            // its own.
            let is_others = now.is_ok_and(|now| found.iter().zip(&now).any(was_moved));
            Err(if is_others { Halt::Overtaken } else { error.into() })
        }
    }
}

/// Whether another mover has been at a partition since it was seen first. A survey has a kept one made of an
/// open one, and so does this process; and a Redis that lost everything has an open one.
fn was_moved((before, now): (&(u32, Standing), &(u32, Standing))) -> bool {
    let sides = (before.1.side, now.1.side);
    before != now && !matches!(sides, (Side::Open, Side::Kept) | (_, Side::Open))
}

/// Copies the rest of what is in these partitions, to which nobody writes from then on. Either the store has
/// everything, and they leave, or `redis_only` goes on keeping them.
async fn leave(
    mover: &Mover<'_>,
    kept: Vec<(u32, Standing)>,
    summary: &mut Snapshot,
) -> Result<Vec<u32>, Halt> {
    let mut partitions = Vec::with_capacity(kept.len());
    let copied = match take(mover, kept, &mut partitions).await {
        Ok(()) => copy_rest(mover, &partitions, summary).await,
        halt => halt,
    };
    if let Err(halt) = copied {
        let mut was_overtaken = false;
        for &partition in &partitions {
            // What another mover has taken over since is left to it: that may remove entries.
            let back = mover.pass(partition, Side::Exporting, Side::Kept).await;
            was_overtaken |= back.is_ok_and(|is_back| !is_back);
        }
        return Err(if was_overtaken { Halt::Overtaken } else { halt });
    }
    for &partition in &partitions {
        if !mover.pass(partition, Side::Exporting, Side::Leaving).await? {
            return Err(Halt::Overtaken);
        }
    }
    Ok(partitions)
}

/// Turns these partitions over, and adds each to those that it has taken.
async fn take(
    mover: &Mover<'_>,
    kept: Vec<(u32, Standing)>,
    taken: &mut Vec<u32>,
) -> Result<(), Halt> {
    for (partition, mut at) in kept {
        if at.side == Side::Open {
            // A survey has turned it since.
            at = mover.copying.standing(partition).await?;
        }
        if !matches!(at.side, Side::Kept | Side::Exporting) {
            return Err(Halt::Overtaken);
        }
        match mover.take(partition, &at, Side::Exporting).await {
            Ok(true) => taken.push(partition),
            Ok(false) => return Err(Halt::Overtaken),
            Err(error) => {
                // Nobody knows whether it was turned: if it was not, nobody has taken it either.
                drop(mover.pass(partition, Side::Exporting, Side::Kept).await);
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Copies what changed up to the moment from which on nobody writes.
async fn copy_rest(
    mover: &Mover<'_>,
    partitions: &[u32],
    summary: &mut Snapshot,
) -> Result<(), Halt> {
    mover.reach(Point::SidesTurned).await?;
    mover.renew().await;
    let ask = Ask { retries: true, waits: true, skips_stored: false };
    copy_partitions(mover.copying, partitions, &mover.token, ask, summary).await?;
    complete(summary)?;
    mover.reach(Point::RestCopied).await?;
    Ok(())
}

/// Remembers in the store that it has the partition. Nobody opens it again but an import that begins later.
async fn seal(mover: &Mover<'_>, partition: u32) -> Result<(), Halt> {
    for _ in 0..TRIES_MAX {
        mover.renew().await;
        let position = mover.raise(partition, Side::Leaving).await?;
        if mover.copying.seal(partition, &position).await? {
            return Ok(());
        }
    }
    Err(busy().into())
}

fn complete(summary: &Snapshot) -> Result<()> {
    let Snapshot { refused, postponed, .. } = summary;
    if summary.is_complete() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "the store does not take all entities ({refused} are refused, {postponed} refer to rows that \
             are not there, or are still referred to), so `redis_only` keeps them: the events `CopyRefused` say which. Mend them, \
             and call `export` again"
        ),
    ))
}
