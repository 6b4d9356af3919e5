//! Points at which tests let a process die, fail, wait or panic. Without the feature `conformance` a
//! point is nothing.

/// Where. Named after the last thing that was done; PROTOCOL's numbers (3.4) behind it.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "conformance"), allow(dead_code, unreachable_pub))]
pub enum Point {
    /// P1
    Claimed,
    /// P2
    PositionRead,
    /// P3
    RecordsRead,
    /// P4
    PositionMoved,
    /// P5, P6
    RowsWritten,
    /// P7, P8
    Committed,
    /// P9
    Acknowledged,
    /// P11
    LettersWritten,
    /// P12
    TicketPlaced,
    /// P12
    EpochRaised,
    /// P12
    Repaired,
    /// The steps of changing the number of partitions.
    LayoutAnnounced,
    PartitionSealed,
    PartitionDrained,
    PartitionClosed,
    PartitionRaised,
    PositionSet,
    PartitionOpened,
    LayoutChanged,
    /// The steps of moving an entity between `redis_only` and the strategies with a store.
    SidesSeen,
    SidesTurned,
    JournalFenced,
    EpochSeen,
    RowsRead,
    EntriesFound,
    RestCopied,
    SidesLeaving,
    MoveDone,
    MoveEnded,
}

#[cfg(not(feature = "conformance"))]
pub(crate) async fn reach(_: Point, _: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "conformance")]
pub(crate) use armed::reach;
#[cfg(feature = "conformance")]
pub use armed::{Failure, Held, arm, hold, left};

#[cfg(feature = "conformance")]
mod armed {
    use std::{
        collections::HashMap,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    use tokio::sync::{oneshot, watch};

    use super::Point;

    /// What happens there.
    #[allow(missing_docs)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Failure {
        /// The process is gone, without a word.
        Kill,
        Error,
        Delay(Duration),
        Panic,
    }

    type Armed = HashMap<(Point, String), (Failure, usize)>;
    type Gates = HashMap<(Point, String), (watch::Sender<bool>, oneshot::Receiver<()>)>;

    /// By point and the entity's name in the store's ledger, so that tests stay apart.
    static ARMED: Mutex<Option<Armed>> = Mutex::new(None);
    static GATES: Mutex<Option<Gates>> = Mutex::new(None);

    /// A gate at which the next one that comes by is held.
    #[derive(Debug)]
    pub struct Held {
        arrived: watch::Receiver<bool>,
        release: oneshot::Sender<()>,
    }

    impl Held {
        /// Waits until somebody is held.
        pub async fn arrived(&self) {
            // A gate that is gone let somebody pass.
            let _ = self.arrived.clone().wait_for(|arrived| *arrived).await;
        }

        /// Lets it go on. So does dropping this.
        pub fn release(self) {
            drop(self.release);
        }
    }

    /// Holds the next one that comes by this point of an entity.
    pub fn hold(point: Point, entity: &str) -> Held {
        let ((arrived, has_arrived), (release, released)) =
            (watch::channel(false), oneshot::channel());
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        gates.get_or_insert_default().insert((point, entity.to_owned()), (arrived, released));
        Held { arrived: has_arrived, release }
    }

    fn gate(point: Point, entity: &str) -> Option<(watch::Sender<bool>, oneshot::Receiver<()>)> {
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        gates.as_mut()?.remove(&(point, entity.to_owned()))
    }

    /// Lets the next `times` visits to a point of an entity fail.
    pub fn arm(point: Point, entity: &str, failure: Failure, times: usize) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        armed.get_or_insert_default().insert((point, entity.to_owned()), (failure, times));
    }

    /// How many of the visits that were to fail have not been made yet.
    pub fn left(point: Point, entity: &str) -> usize {
        let armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let left = armed.as_ref().and_then(|armed| armed.get(&(point, entity.to_owned())));
        left.map_or(0, |(_, left)| *left)
    }

    pub(crate) async fn reach(point: Point, entity: &str) -> Result<(), String> {
        if let Some((arrived, released)) = gate(point, entity) {
            arrived.send_replace(true);
            let _ = released.await;
        }
        match take(point, entity) {
            None => Ok(()),
            Some(Failure::Kill) => std::process::abort(),
            Some(Failure::Error) => Err(format!("the fail-point {point:?} was armed")),
            Some(Failure::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            #[allow(clippy::panic)] // Asked for.
            Some(Failure::Panic) => panic!("the fail-point {point:?} was armed"),
        }
    }

    fn take(point: Point, entity: &str) -> Option<Failure> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let (failure, left) = armed.as_mut()?.get_mut(&(point, entity.to_owned()))?;
        *left = left.checked_sub(1)?;
        Some(*failure)
    }
}
