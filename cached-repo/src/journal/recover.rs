//! Recovery: making the server that answers the journal's home, after a restart, a failover, a flush
//! or a restored database, before anything is written to it. PROTOCOL: R.
//!
//! Four steps, each of which may be the last one of a process that dies; whoever comes next begins
//! again. The store's epoch is raised before Redis is touched, so that no transaction that read the
//! journal before can commit any more. It is settled at the end: a journal that comes back from before
//! the last settled epoch had been given up, and is thrown away.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Event, Journal};
use crate::{
    backend::{
        CacheError,
        journal::{Meta, News, Repair, Repaired},
    },
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    store::{Class, Entry, Ledger, Offset, StoreError},
};

const OVERTAKEN_WAIT: Duration = Duration::from_millis(50);

impl Journal {
    /// Recovers the partitions of these ids where that is needed.
    pub(crate) async fn recover_all(&self, partitions: impl Iterator<Item = u32>) -> Result<()> {
        let mut partitions: Vec<u32> = partitions.collect();
        partitions.sort_unstable();
        partitions.dedup();
        for partition in partitions {
            self.recover(partition).await?;
        }
        Ok(())
    }

    /// Recovers a partition, if that is needed.
    ///
    /// Cancel-safe: a recovery that was begun is begun again by the next one.
    pub(crate) async fn recover(&self, partition: u32) -> Result<()> {
        let turn = timeout(self.settings.patience, self.partition(partition)?.recovering.lock());
        let _turn = turn.await.map_err(|_| {
            let message = "other writes wait for the recovery of the journal, which does not end";
            Error::new(ErrorKind::StoreUnavailable, message)
        })?;
        // Before the ticket: whoever raises the epoch last has the later ticket then, and the other
        // one's repair is refused.
        let before = self.offset(partition).await.map_err(StoreError::into_error)?;
        self.check_layout(before.as_ref()).await?;
        let ticket = self.entries.random.token();
        let backend = &self.entries.backend;
        let meta = backend.ticket(&self.entries.keys, partition, &ticket).await;
        let meta = meta.map_err(CacheError::into_error)?;
        self.reach(Point::TicketPlaced).await?;
        if let Some(before) = &before {
            self.check_identity(&meta, before)?;
        }
        if self.is_done(&meta, before.as_ref())? {
            return match before.filter(|before| before.settled != before.epoch) {
                Some(begun) => self.conclude(partition, &begun, meta.news).await,
                None => Ok(()),
            };
        }
        let seen = before.as_ref().map_or(0, |before| before.epoch);
        let Some(raised) = self.raise(partition, &meta, seen).await? else {
            self.let_pass().await;
            return Ok(());
        };
        self.reach(Point::EpochRaised).await?;
        self.check_identity(&meta, &raised)?;
        let is = |what: fn(&Offset) -> bool| before.as_ref().is_some_and(what);
        let repair = Repair {
            partition,
            ticket: &ticket,
            epoch: raised.epoch,
            settled: raised.settled,
            journal: &raised.journal,
            last_id: raised.last_id,
            // It was only sealed.
            expects_kept: meta.is_at_home() && (meta.sealed || is(|before| before.sealed)),
            // The first write ever, first writes of several processes at a time, or it was sealed.
            expects_empty: before.is_none() || is(|before| before.settled == 0 || before.sealed),
        };
        let repaired = backend.repair(&self.entries.keys, repair).await;
        let repaired = repaired.map_err(CacheError::into_error)?;
        if repaired == Repaired::Overtaken {
            self.let_pass().await;
            return Ok(());
        }
        self.reach(Point::Repaired).await?;
        let repaired = self.meta(partition).await.map_err(CacheError::into_error)?;
        self.conclude(partition, &raised, repaired.news).await?;
        self.saw(partition, raised.last_id);
        self.nudge(partition);
        if !meta.is_at_home() {
            self.nudge_earlier(&meta.server);
        }
        Ok(())
    }

    /// Another recovery is under way, and settles what it raises. It has a moment for that, so that two
    /// that begin again and again do not overtake each other for ever.
    async fn let_pass(&self) {
        sleep(self.entries.random.jitter(OVERTAKEN_WAIT, 0.9)).await;
    }

    async fn reach(&self, point: Point) -> Result<()> {
        let reached = failpoint::reach(point, self.name()).await;
        reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
    }

    /// Refuses the journal of another entity, or of another database.
    pub(crate) fn check_identity(&self, meta: &Meta, offset: &Offset) -> Result<()> {
        if !meta.exists() || meta.journal == offset.journal {
            return Ok(());
        }
        Err(Error::configuration(format!(
            "this Redis holds another journal of `{}` (identity {}) than the one that the database knows \
             ({}): one of the two is the wrong one, or was replaced by a copy. Nothing is written or \
             drained",
            self.name(),
            meta.journal,
            offset.journal
        )))
    }

    /// Whether the journal belongs to the server that answered and is in the store's epoch. Refuses a
    /// server that was replaced by another one.
    fn is_done(&self, meta: &Meta, offset: Option<&Offset>) -> Result<bool> {
        let Some(offset) = offset else { return Ok(false) };
        if !meta.is_at_home() {
            return Ok(false);
        }
        if meta.epoch < offset.epoch && meta.server != offset.home {
            return Err(Error::new(
                ErrorKind::Fenced,
                "this Redis server was replaced by another one, which the journal belongs to now: it \
                 should be that one's replica, or be stopped. If this is the right one after all, \
                 restart it, and the journal moves here",
            ));
        }
        Ok(!meta.sealed && meta.clock >= offset.last_id && meta.epoch == offset.epoch)
    }

    /// Raises the epoch, unless another recovery has.
    pub(crate) async fn raise(
        &self,
        partition: u32,
        meta: &Meta,
        seen: u64,
    ) -> Result<Option<Offset>> {
        let new;
        let journal = match meta.journal.as_str() {
            "" => {
                new = self.entries.random.token();
                &new
            }
            known => known,
        };
        let recover = Ledger::Recover {
            entity: self.name(),
            partition,
            journal,
            home: &meta.server,
            epoch_min: meta.epoch,
            seen,
        };
        match self.store.ledger(recover).await.map_err(StoreError::into_error)? {
            Entry::Offset(raised) => Ok(raised),
            _ => Err(Error::new(ErrorKind::Internal, "the store did not answer an offset")),
        }
    }

    /// In steps, so that the server answers others in between.
    async fn sweep(&self, partition: u32, last_id: u64) -> Result<()> {
        let mut after = Some(0);
        while let Some(at) = after {
            let swept =
                self.entries.backend.sweep(&self.entries.keys, partition, at, last_id).await;
            after = swept.map_err(CacheError::into_error)?;
        }
        Ok(())
    }

    /// Settles the epoch, and tells what the recovery found, which is in Redis until then: whoever comes
    /// next finds it there.
    async fn conclude(&self, partition: u32, raised: &Offset, news: News) -> Result<()> {
        self.sweep(partition, raised.last_id).await?;
        let settle = Ledger::Settle { entity: self.name(), partition, epoch: raised.epoch };
        let settled = self.store.ledger(settle).await;
        let is_told = match &settled {
            // Somebody else has settled it, or has raised it and settles that.
            Ok(Entry::Changed(false)) => true,
            Ok(_) => false,
            // Better twice than never.
            Err(error) => error.class() != Class::Unknown,
        };
        if !is_told {
            self.tell(partition, raised, news);
        }
        settled.map(drop).map_err(StoreError::into_error)
    }

    fn tell(&self, partition: u32, raised: &Offset, news: News) {
        let counters = &self.entries.counters;
        let (entity, epoch, last_id) = (self.name().to_owned(), raised.epoch, raised.last_id);
        let event = match news {
            News::None => return,
            News::Recovered { left } => Event::Recovered { entity, partition, epoch, left },
            News::Lost { discarded } => {
                counters.journals_lost.add(1);
                Event::JournalLost { entity, partition, last_id, discarded }
            }
        };
        counters.recoveries.add(1);
        self.roster.listener.tell(&event);
    }
}
