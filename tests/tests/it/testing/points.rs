//! A process that dies, or loses a call, at any point of the protocols loses nothing.

use std::collections::BTreeMap;

use super::*;

use cached_repo::{Outcome, Result, Saved};

/// What is written through.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "notes", strategy = "write_through", partitions = 1)]
struct Note {
    #[cache(id)]
    id: u32,
    text: String,
}

/// What only Redis has.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "carts", strategy = "redis_only")]
struct Cart {
    #[cache(id)]
    id: u32,
    text: String,
}

/// The service: a process' repositories.
struct Service {
    orders: Repository<Order>,
    notes: Repository<Note>,
    carts: Repository<Cart>,
}

impl Service {
    async fn new(process: &Process) -> Self {
        let (cache, store) = (process.cache(), process.store());
        Self {
            orders: Repository::builder(cache).store(store).build().await.unwrap(),
            notes: Repository::builder(cache).store(store).build().await.unwrap(),
            carts: Repository::builder(cache).build().await.unwrap(),
        }
    }

    /// Does everything that there is to do, and remembers what was promised.
    async fn work(&self, promises: &mut Promises) {
        for id in 0..4 {
            promises.made(("orders", id), &self.orders.save(&order(id, "new")).await);
        }
        let _ = self.orders.flush().await;
        let _ = self.notes.evict(0).await;
        let _ = self.notes.get(0).await;
        for id in 0..2 {
            let note = Note { id, text: "new".to_owned() };
            promises.made(("notes", id), &self.notes.save(&note).await);
            let cart = Cart { id, text: "new".to_owned() };
            promises.made(("carts", id), &self.carts.save(&cart).await);
        }
    }
}

/// What writes of "new" over "old" have said of themselves, by entity and id.
#[derive(Default)]
struct Promises(BTreeMap<(&'static str, u32), Option<bool>>);

impl Promises {
    fn made(&mut self, of: (&'static str, u32), result: &Result<Saved>) {
        let is_new = match result {
            Ok(_) => Some(true),
            Err(error) if error.outcome() == Outcome::NotApplied => Some(false),
            Err(_) => None,
        };
        self.0.insert(of, is_new);
    }

    fn check(&self, entity: &'static str, found: impl IntoIterator<Item = (u32, String)>) {
        let found: BTreeMap<u32, String> = found.into_iter().collect();
        for ((_, id), promised) in self.0.iter().filter(|((of, _), _)| *of == entity) {
            let is_new = found[id] == "new";
            assert!(is_new || found[id] == "old");
            assert!(promised.is_none_or(|new| new == is_new), "{entity} {id}: {found:?}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Crash,
    Fail,
}

async fn nothing_is_lost(point: Point, fault: Fault) {
    let kit = Kit::seeded(3);
    let first = kit.process();
    let service = Service::new(&first).await;
    for id in 0..4 {
        let _ = service.orders.save(&order(id, "old")).await.unwrap();
    }
    for id in 0..2 {
        let _ = service.notes.save(&Note { id, text: "old".to_owned() }).await.unwrap();
        let _ = service.carts.save(&Cart { id, text: "old".to_owned() }).await.unwrap();
    }
    kit.settle().await.unwrap();
    first.crash();
    // So that there is something to recover.
    kit.redis().restart();

    let victim = kit.process();
    let service = Service::new(&victim).await;
    match fault {
        Fault::Crash => victim.at(point).crash(),
        Fault::Fail => victim.at(point).fail(),
    }
    let mut promises = Promises::default();
    service.work(&mut promises).await;
    assert_eq!(kit.armed(), 0, "{point} was not met:\n{}", kit.trace().join("\n"));
    assert_eq!(victim.is_running(), fault == Fault::Fail);

    let next = kit.process();
    let service = Service::new(&next).await;
    kit.settle().await.unwrap();
    let rows = kit.database().rows::<Order>().unwrap();
    promises.check("orders", rows.into_iter().map(|order| (order.id, order.state)));
    let rows = kit.database().rows::<Note>().unwrap();
    for note in &rows {
        assert_eq!(service.notes.get(note.id).await.unwrap().as_ref(), Some(note));
    }
    promises.check("notes", rows.into_iter().map(|note| (note.id, note.text)));
    let carts = service.carts.get_many([0, 1]).await.unwrap();
    promises.check("carts", carts.into_iter().flatten().map(|cart| (cart.id, cart.text)));
}

fn points() -> impl Iterator<Item = Point> {
    Step::ALL.iter().flat_map(|step| [Point::Before(*step), Point::After(*step)])
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_point_loses_nothing() {
    for point in points() {
        nothing_is_lost(point, Fault::Crash).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_at_any_point_loses_nothing() {
    for point in points() {
        nothing_is_lost(point, Fault::Fail).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_copier_that_dies_at_any_point_leaves_the_rest_to_the_next_one() {
    let carts = async |process: &Process| {
        let (cache, store) = (process.cache(), process.store());
        Repository::<Cart>::builder(cache).store(store).build().await.unwrap()
    };
    let cart = |id| Cart { id, text: "new".to_owned() };
    let steps = [Step::Records, Step::Drain, Step::Acknowledge];
    for point in steps.into_iter().flat_map(|step| [Point::Before(step), Point::After(step)]) {
        let kit = Kit::seeded(3);
        let victim = kit.process();
        let kept = carts(&victim).await;
        // From now on changes are marked.
        let _ = kept.snapshot_now().await.unwrap();
        for id in 0..3 {
            let _ = kept.save(&cart(id)).await.unwrap();
        }
        victim.at(point).crash();
        assert!(kept.snapshot_now().await.is_err());
        assert_eq!((kit.armed(), victim.is_running()), (0, false), "{point}");
        let next = kit.process();
        let kept = carts(&next).await;
        let _ = kept.snapshot_now().await.unwrap();
        assert_eq!(kit.database().rows::<Cart>().unwrap(), [cart(0), cart(1), cart(2)]);
        kit.settle().await.unwrap();
    }
}
