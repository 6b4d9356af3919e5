//! Customers, their orders and notes, and the processes that use them; orders refer to customers.

use std::{sync::Arc, time::Duration};

use cached_repo::{
    Cache, CacheBuilder, CachedEntity, Event, Repository, RepositoryBuilder,
    store::{Ledger, SharedStore, Store},
};
use tests::Gated;
use tokio::time::sleep;

use super::super::scene::{Events, Scene};
use crate::stage::{On, Over};

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "customers", strategy = "write_behind", partitions = 3)]
pub(super) struct Customer {
    #[cache(id)]
    pub(super) id: i64,
    pub(super) name: String,
}

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "orders", strategy = "write_behind", partitions = 6, after = "customers")]
pub(super) struct Order {
    #[cache(id)]
    pub(super) id: i64,
    pub(super) customer: i64,
}

/// What comes behind nobody.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "notes", strategy = "write_behind", partitions = 1)]
pub(super) struct Note {
    #[cache(id)]
    pub(super) id: i64,
}

pub(super) fn customer(id: i64) -> Customer {
    Customer { id, name: "a".to_owned() }
}

/// The order of a customer. Its id is nobody else's.
pub(super) fn order(customer: i64) -> Order {
    Order { id: customer + ORDERS, customer }
}

pub(super) const ORDERS: i64 = 100_000;

/// The servers, and the tables there.
pub(super) struct Family {
    pub(super) scene: Scene,
    /// What customers go through before all else does.
    pub(super) parents: Arc<Gated>,
}

/// One process.
pub(super) struct Member {
    pub(super) cache: Cache,
    pub(super) customers: Repository<Customer>,
    pub(super) orders: Repository<Order>,
    pub(super) notes: Repository<Note>,
    pub(super) events: Events,
}

impl Family {
    pub(super) async fn new(on: On, over: Over) -> Self {
        let scene = Scene::new(on, over).await;
        let parents = Gated::new(scene.gate.clone() as SharedStore);
        let family = Self { scene, parents };
        let [customers, orders, notes] = family.tables();
        family.install(&Customer::SCHEMA.with_table(customers.clone())).await;
        if on == On::Sqlite {
            // It adds no key to a table that is there.
            let sql = format!(
                "CREATE TABLE {orders} (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER NOT NULL \
                 REFERENCES {customers} (id))"
            );
            family.scene.sql(&sql).await;
        }
        family.install(&Order::SCHEMA.with_table(orders.clone())).await;
        if matches!(on, On::Postgres | On::MySql) {
            let key = format!("FOREIGN KEY (customer) REFERENCES {customers} (id)");
            family.scene.sql(&format!("ALTER TABLE {orders} ADD {key}")).await;
        }
        family.install(&Note::SCHEMA.with_table(notes)).await;
        family
    }

    /// Everything in this process, so that time may be paused.
    pub(super) async fn in_process() -> Self {
        Self::new(On::Memory, Over::InProcess).await
    }

    pub(super) fn tables(&self) -> [String; 3] {
        ["c", "o", "n"].map(|letter| format!("{}_{letter}", self.scene.table))
    }

    async fn install(&self, schema: &cached_repo::Schema) {
        self.scene.gate.ledger(Ledger::Install { schema }).await.unwrap();
    }

    /// A process whose orders come behind customers, as the attribute says.
    pub(super) async fn member(&self, cache: CacheBuilder) -> Member {
        self.build(cache, None).await
    }

    /// A process whose orders come behind nobody.
    pub(super) async fn unordered(&self, cache: CacheBuilder) -> Member {
        self.build(cache, Some(&[])).await
    }

    async fn build(&self, cache: CacheBuilder, after: Option<&[&str]>) -> Member {
        let events = Events::default();
        let cache = self.scene.cache(events.listen(cache)).await;
        let [_, orders, notes] = self.tables();
        let store = self.scene.gate.clone() as SharedStore;
        let customers = self.customers_at(&cache);
        let mut orders = Repository::builder(&cache).store(&store).table(orders);
        if let Some(after) = after {
            orders = orders.after(after.iter().copied());
        }
        let notes = Repository::builder(&cache).store(&store).table(notes);
        let customers = customers.build().await.unwrap();
        let (orders, notes) = (orders.build().await.unwrap(), notes.build().await.unwrap());
        Member { cache, customers, orders, notes, events }
    }

    /// Customers of another process.
    pub(super) fn customers_at(&self, cache: &Cache) -> RepositoryBuilder<Customer> {
        let store = self.parents.clone() as SharedStore;
        let [customers, ..] = self.tables();
        Repository::builder(cache).store(&store).table(customers)
    }

    /// Orders of another process, which nothing but the cache knows of.
    pub(super) async fn orders_at(&self, cache: &Cache) -> Repository<Order> {
        let store = self.scene.gate.clone() as SharedStore;
        let [_, orders, _] = self.tables();
        Repository::builder(cache).store(&store).table(orders).build().await.unwrap()
    }

    /// The places in the order of commits at which the store was given this id.
    pub(super) fn places(&self, id: i64) -> Vec<usize> {
        let batches = self.scene.gate.written().into_iter().enumerate();
        let of_it =
            batches.filter(|(_, batch)| batch.iter().any(|c| c.id().text() == id.to_string()));
        of_it.map(|(place, _)| place).collect()
    }

    /// The store was given the order of each of these customers, behind the customer.
    pub(super) fn check_order(&self, customers: std::ops::Range<i64>) {
        for id in customers {
            let (parent, child) = (self.places(id), self.places(order(id).id));
            assert!(!parent.is_empty() && parent[0] < child[0], "{id}: {parent:?} {child:?}");
        }
    }
}

impl Member {
    /// The first writes of all partitions, which the store is asked for: later ones can do without.
    pub(super) async fn open(&self) {
        let customers: Vec<_> = (-40..0).map(customer).collect();
        self.customers.save_many(&customers).await.unwrap();
        self.customers.flush().await.unwrap();
        let orders: Vec<_> = (-40..0).map(order).collect();
        self.orders.save_many(&orders).await.unwrap();
        self.orders.flush().await.unwrap();
    }

    /// A customer, and then its order.
    pub(super) async fn save(&self, id: i64) {
        self.customers.save(&customer(id)).await.unwrap();
        self.orders.save(&order(id)).await.unwrap();
    }

    /// Waits until orders were put off.
    pub(super) async fn has_waited(&self) {
        let waits = self.orders.counts().drain_waits;
        while self.orders.counts().drain_waits == waits {
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) fn dead(&self) -> usize {
        self.events.count(|event| matches!(event, Event::DeadLettered { .. }))
    }
}
