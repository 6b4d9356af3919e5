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
}

#[cfg(not(feature = "conformance"))]
pub(crate) async fn reach(_: Point, _: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "conformance")]
pub(crate) use armed::reach;
#[cfg(feature = "conformance")]
pub use armed::{Failure, arm, left};

#[cfg(feature = "conformance")]
mod armed {
    use std::{
        collections::HashMap,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

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

    /// By point and the entity's name in the store's ledger, so that tests stay apart.
    static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

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
