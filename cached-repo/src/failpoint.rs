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
    /// The parents of an entity were looked at.
    ParentsSeen,
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
    /// Each of them.
    SideTaken,
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
pub use armed::{Failure, Held, arm, arm_at, hold, hold_at, left};

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

    /// With the visits that pass before, and those that fail.
    type Armed = HashMap<(Point, String), (Failure, usize, usize)>;
    type Gate = (watch::Sender<bool>, oneshot::Receiver<()>);
    /// With the visits that pass before.
    type Gates = HashMap<(Point, String), (Gate, usize)>;

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
        hold_at(point, entity, 1)
    }

    /// The same for a later visit than the first one.
    pub fn hold_at(point: Point, entity: &str, visit: usize) -> Held {
        let ((arrived, has_arrived), (release, released)) =
            (watch::channel(false), oneshot::channel());
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = ((arrived, released), visit.saturating_sub(1));
        gates.get_or_insert_default().insert((point, entity.to_owned()), gate);
        Held { arrived: has_arrived, release }
    }

    fn gate(point: Point, entity: &str) -> Option<Gate> {
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        let (gates, key) = (gates.as_mut()?, (point, entity.to_owned()));
        let (_, passing) = gates.get_mut(&key)?;
        if let Some(less) = passing.checked_sub(1) {
            *passing = less;
            return None;
        }
        gates.remove(&key).map(|(gate, _)| gate)
    }

    /// Lets the next `times` visits to a point of an entity fail.
    pub fn arm(point: Point, entity: &str, failure: Failure, times: usize) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        armed.get_or_insert_default().insert((point, entity.to_owned()), (failure, 0, times));
    }

    /// Lets one visit fail: the first one is 1.
    pub fn arm_at(point: Point, entity: &str, failure: Failure, visit: usize) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = (failure, visit.saturating_sub(1), 1);
        armed.get_or_insert_default().insert((point, entity.to_owned()), failure);
    }

    /// How many of the visits that were to fail have not been made yet.
    pub fn left(point: Point, entity: &str) -> usize {
        let armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let left = armed.as_ref().and_then(|armed| armed.get(&(point, entity.to_owned())));
        left.map_or(0, |(_, _, left)| *left)
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
        let (failure, passing, left) = armed.as_mut()?.get_mut(&(point, entity.to_owned()))?;
        if let Some(less) = passing.checked_sub(1) {
            *passing = less;
            return None;
        }
        *left = left.checked_sub(1)?;
        Some(*failure)
    }
}
