//! The order between entities: who comes behind whom, and that nobody waits for itself.

use std::collections::VecDeque;

use super::RepositoryBuilder;
use crate::{
    backend::CacheError,
    cache::Entries,
    entity::CachedEntity,
    error::{Error, Result},
    journal::{AFTER, KNOWN, Roster, listed},
    key::{Keyspace, check_name},
};

const PARENTS_MAX: usize = 16;
/// How often it is tried to record the parents while other processes record others.
const TRIES_MAX: usize = 5;
/// What the registry calls the store.
const STORE: &str = "store";

impl<E: CachedEntity> RepositoryBuilder<E> {
    /// The entities (their prefixes, at most 16) that the store has rows of before it has those of this one
    /// that refer to them: what is journaled of this entity is drained once the store has, or has refused,
    /// everything that was journaled of them before. Of the same namespace, and in the same database. All
    /// processes that drain this entity must say the same. Defaults to the attribute, and without one to
    /// none; an empty list turns the attribute off.
    ///
    /// It is about what is journaled, under `write_behind`. What is written to the store first is refused
    /// there and then, if what it refers to is still in a journal.
    pub fn after(mut self, parents: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.after = Some(parents.into_iter().map(Into::into).collect());
        self
    }

    /// The keyspaces of the parents.
    pub(super) fn parents(&self, keys: &Keyspace) -> Result<Vec<Keyspace>> {
        let said = || self.settings.after.unwrap_or_default().iter().map(|name| (*name).to_owned());
        let names = self.after.clone().unwrap_or_else(|| said().collect());
        if names.len() > PARENTS_MAX {
            let message =
                format!("`after` names {} entities: use at most {PARENTS_MAX}", names.len());
            return Err(Error::configuration(message));
        }
        for (i, name) in names.iter().enumerate() {
            check_name("entity that `after` names", name)?;
            if name == keys.prefix() {
                let message = format!(
                    "`after` names this entity itself, `{name}`: leave it out. What is journaled of one \
                     entity is drained in the order of its ids' writes"
                );
                return Err(Error::configuration(message));
            }
            if names[..i].contains(name) {
                return Err(Error::configuration(format!("`after` names `{name}` twice")));
            }
        }
        names.iter().map(|name| keys.sibling(name)).collect()
    }
}

/// Refuses parents that are behind this entity, or in another database, and says to all processes what
/// the parents are.
pub(super) async fn agree(entries: &Entries, parents: &[Keyspace]) -> Result<()> {
    let wanted = listed(parents);
    check(entries, parents).await?;
    for _ in 0..TRIES_MAX {
        let [before] = facts(entries, &entries.keys, [AFTER]).await?;
        if before == wanted {
            return Ok(());
        }
        let amend = async |from: &str, to: &str| {
            let amending = entries.backend.amend(&entries.keys, AFTER, from, to);
            amending.await.map_err(CacheError::into_error)
        };
        if !amend(&before, &wanted).await? {
            continue;
        }
        // Of two processes that would wait for each other at least one sees what the other one said.
        if let Err(error) = check(entries, parents).await {
            // What is wrong is told in any case; that it stays recorded is worth a line.
            if let Err(error) = amend(&wanted, &before).await {
                tracing::warn!(%error, "`after` as it was refused could not be taken back");
            }
            return Err(error);
        }
        return Ok(());
    }
    Err(Error::configuration(
        "other processes of this entity say now this and now that about `after`: say the same everywhere",
    ))
}

/// Refuses parents that are others than a repository of the same entity has that is built here already: one
/// journal is drained by one of the two.
pub(super) fn agree_here(entries: &Entries, parents: &[Keyspace], roster: &Roster) -> Result<()> {
    let Some(known) = roster.journal(entries.schema.prefix()) else { return Ok(()) };
    let (first, wanted) = (listed(&known.parents), listed(parents));
    if first == wanted {
        return Ok(());
    }
    let said = |names: String| if names.is_empty() { "nobody".to_owned() } else { names };
    Err(Error::configuration(format!(
        "another repository of this entity in this process is drained after {}, this one would be after {}: \
         say the same in all of them",
        said(first),
        said(wanted)
    )))
}

/// Goes from parents to their parents, each once.
async fn check(entries: &Entries, parents: &[Keyspace]) -> Result<()> {
    if parents.is_empty() {
        return Ok(());
    }
    let own = entries.keys.prefix();
    let [store] = facts(entries, &entries.keys, [STORE]).await?;
    let mut seen = vec![own.to_owned()];
    let direct = parents.iter().map(|keys| (keys.clone(), own.to_owned()));
    let mut next: VecDeque<(Keyspace, String)> = direct.collect();
    while let Some((keys, path)) = next.pop_front() {
        let name = keys.prefix().to_owned();
        if seen.contains(&name) {
            continue;
        }
        let path = format!("{path} after {name}");
        let [known, their_store, their_parents] =
            facts(entries, &keys, [KNOWN, STORE, AFTER]).await?;
        if known.is_empty() {
            let message = stranger(own, &name);
            tracing::warn!(entity = own, after = name, message, "the order is not known to hold");
        }
        if !their_store.is_empty() && !store.is_empty() && their_store != store {
            return Err(Error::configuration(format!(
                "`after` names `{name}`, which is in another database: there is no order between the two"
            )));
        }
        seen.push(name);
        for parent in their_parents.split(',').filter(|parent| !parent.is_empty()) {
            if parent == own {
                return Err(Error::configuration(format!(
                    "`after` goes round in a circle: {path} after {own}. Each would wait for the other: \
                     leave one of them out (if `{}` is not after `{own}` any more, build that one first; it \
                     is recorded in the field `{AFTER}` of the key `{}`)",
                    keys.prefix(),
                    keys.registry()
                )));
            }
            next.push_back((keys.sibling(parent)?, path.clone()));
        }
    }
    Ok(())
}

/// What is wrong with a parent that nobody knows.
pub(crate) fn stranger(entity: &str, parent: &str) -> String {
    format!(
        "`{entity}` is drained after `{parent}`, which no process has built in this namespace so far: see \
         whether `after` has the right name, that of its prefix"
    )
}

/// What is recorded of an entity; nothing is recorded by that.
async fn facts<const N: usize>(
    entries: &Entries,
    keys: &Keyspace,
    names: [&'static str; N],
) -> Result<[String; N]> {
    let asked = names.map(|name| (name, String::new()));
    let answers = entries.backend.register(keys, &asked).await.map_err(CacheError::into_error)?;
    let mut answers = answers.into_iter();
    Ok(names.map(|_| answers.next().unwrap_or_default()))
}
