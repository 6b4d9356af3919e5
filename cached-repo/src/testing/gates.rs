//! Where calls are caught: held until a test lets them go, or failed.

use std::{
    fmt,
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{oneshot, watch};

/// Gates at which visits `V` are caught. A visit that fails there gets an `F`.
///
/// Each gate catches one visit, earlier gates first.
pub struct Gates<V, F>(Mutex<Vec<Gate<V, F>>>);

struct Gate<V, F> {
    catches: Box<dyn Fn(&V) -> bool + Send>,
    action: Action<F>,
}

enum Action<F> {
    Fail(F),
    Hold { arrived: watch::Sender<bool>, verdict: oneshot::Receiver<Verdict<F>> },
}

#[derive(Debug)]
enum Verdict<F> {
    Release,
    Abandon,
    Fail(F),
}

impl<V, F> Gates<V, F> {
    /// Holds the next visit that is one of these.
    pub fn hold(&self, catches: impl Fn(&V) -> bool + Send + 'static) -> Held<F> {
        let (arrived, has_arrived) = watch::channel(false);
        let (verdict, receiver) = oneshot::channel();
        self.place(catches, Action::Hold { arrived, verdict: receiver });
        Held { arrived: has_arrived, verdict }
    }

    /// Fails the next visit that is one of these.
    pub fn fail(&self, catches: impl Fn(&V) -> bool + Send + 'static, failure: F) {
        self.place(catches, Action::Fail(failure));
    }

    fn place(&self, catches: impl Fn(&V) -> bool + Send + 'static, action: Action<F>) {
        self.lock().push(Gate { catches: Box::new(catches), action });
    }

    /// Removes the gates that have caught nothing yet.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many gates have caught nothing yet.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Comes by, and is held or fails if there is a gate for this visit.
    ///
    /// # Errors
    ///
    /// The failure that the gate was given.
    pub async fn pass(&self, visit: &V) -> Result<(), F> {
        let Some(action) = self.take(visit) else { return Ok(()) };
        let (arrived, verdict) = match action {
            Action::Fail(failure) => return Err(failure),
            Action::Hold { arrived, verdict } => (arrived, verdict),
        };
        arrived.send_replace(true);
        match verdict.await {
            // A gate that was dropped holds nobody: a test that failed is to end.
            Ok(Verdict::Release) | Err(_) => Ok(()),
            Ok(Verdict::Abandon) => pending().await,
            Ok(Verdict::Fail(failure)) => Err(failure),
        }
    }

    fn take(&self, visit: &V) -> Option<Action<F>> {
        let mut gates = self.lock();
        let index = gates.iter().position(|gate| (gate.catches)(visit))?;
        Some(gates.remove(index).action)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gate<V, F>>> {
        // A list of gates is valid whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V, F> Default for Gates<V, F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V, F> fmt::Debug for Gates<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gates({} waiting)", self.waiting())
    }
}

/// A gate, and the visit that it holds. Dropping it releases the visit.
#[derive(Debug)]
pub struct Held<F> {
    arrived: watch::Receiver<bool>,
    verdict: oneshot::Sender<Verdict<F>>,
}

impl<F> Held<F> {
    /// Waits until a visit is held.
    pub async fn arrived(&self) {
        // Where the gate is gone nobody is going to arrive, and nobody waits any more.
        drop(self.arrived.clone().wait_for(|arrived| *arrived).await);
    }

    /// Whether a visit is, or was, held.
    pub fn has_arrived(&self) -> bool {
        *self.arrived.borrow()
    }

    /// Lets the visit go on. Before it arrives: it will not be held.
    pub fn release(self) {
        drop(self.verdict.send(Verdict::Release));
    }

    /// Never lets the visit go on.
    pub fn abandon(self) {
        drop(self.verdict.send(Verdict::Abandon));
    }

    /// Lets the visit fail here.
    pub fn fail(self, failure: F) {
        drop(self.verdict.send(Verdict::Fail(failure)));
    }
}
