//! How long children wait: for what was journaled before them, and for nothing that comes later.

use std::time::Duration;

use cached_repo::{Repository, store::SharedStore};
use tests::Point;
use tokio::time::{sleep, timeout};

use super::{
    super::scene::patient,
    family::{Family, Order, customer, order},
};

const HANG: Duration = Duration::from_secs(120);

/// More than a session drains: the next one goes on up to where the first one was to.
#[tokio::test(start_paused = true)]
async fn a_horizon_is_kept_until_it_is_reached() {
    const ORDERS: i64 = 40;
    let family = Family::in_process().await;
    let cache = family.scene.cache(patient()).await;
    let customers = family.customers_at(&cache).build().await.unwrap();
    let [_, table, _] = family.tables();
    let store = family.scene.gate.clone() as SharedStore;
    let orders = Repository::<Order>::builder(&cache).store(&store).table(table);
    let orders = orders.partitions(1).batch(2).build().await.unwrap();
    let all: Vec<_> = (-40..0).map(customer).collect();
    customers.save_many(&all).await.unwrap();
    customers.flush().await.unwrap();
    orders.save(&order(-1)).await.unwrap();
    orders.flush().await.unwrap();

    let first = family.parents.hold(Point::BeforeApply, "1");
    customers.save(&customer(1)).await.unwrap();
    first.arrived().await;
    let waiting: Vec<_> = (0..ORDERS).map(order).collect();
    orders.save_many(&waiting).await.unwrap();
    let waits = orders.counts().drain_waits;
    while orders.counts().drain_waits == waits {
        sleep(Duration::from_millis(2)).await;
    }
    let later = family.parents.hold(Point::BeforeApply, "2");
    let more: Vec<_> = (2..40).map(customer).collect();
    customers.save_many(&more).await.unwrap();
    first.release();
    later.arrived().await;
    let last = async {
        while family.places(order(ORDERS - 1).id).is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(HANG, last).await.unwrap();
    later.release();
    customers.flush().await.unwrap();
}
