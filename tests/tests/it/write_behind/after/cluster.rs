//! Parents and children in a cluster, where no node knows all of them.

use std::time::Duration;

use cached_repo::{Cache, Repository};
use tests::servers;
use tokio::time::{sleep, timeout};

use super::{
    super::scene::patient,
    family::{Customer, Family, Order, customer, order},
};
use crate::stage::{On, Over};

const HANG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn in_a_cluster_the_partitions_of_parents_are_found_as_well() {
    let family = Family::new(On::Sqlite, Over::InProcess).await;
    let cache = connect(&family).await;
    let parents = family.customers_at(&cache).build().await.unwrap();
    let orders = family.orders_at(&cache).await;
    open(&parents).await;
    are_waited_for(&family, &parents, &orders).await;
}

#[tokio::test]
async fn in_a_cluster_that_forgot_how_parents_are_laid_out_they_are_found_all_the_same() {
    let family = Family::new(On::Sqlite, Over::InProcess).await;
    let elsewhere = connect(&family).await;
    let parents = family.customers_at(&elsewhere).build().await.unwrap();
    let orders = family.orders_at(&connect(&family).await).await;
    open(&parents).await;
    let registry = format!("{}:customers:@registry", family.scene.namespace);
    let mut forget = redis::cmd("DEL");
    forget.arg(registry);
    let mut raw = tests::raw(&*servers::redis_cluster_url()).await;
    let forgotten: u64 = forget.query_async(&mut raw).await.unwrap();
    assert_eq!(forgotten, 1);
    are_waited_for(&family, &parents, &orders).await;
}

async fn connect(family: &Family) -> Cache {
    let cache = patient().accept_cluster().namespace(&*family.scene.namespace);
    cache.connect(&servers::redis_cluster_url()).await.unwrap()
}

/// The first writes of all partitions.
async fn open(parents: &Repository<Customer>) {
    let first: Vec<_> = (-40..0).map(customer).collect();
    parents.save_many(&first).await.unwrap();
    parents.flush().await.unwrap();
}

async fn are_waited_for(
    family: &Family,
    parents: &Repository<Customer>,
    orders: &Repository<Order>,
) {
    family.parents.down();
    for id in 0..5 {
        parents.save(&customer(id)).await.unwrap();
        orders.save(&order(id)).await.unwrap();
    }
    while orders.counts().drain_waits < 10 {
        sleep(Duration::from_millis(2)).await;
    }
    family.parents.up();
    timeout(HANG, orders.flush()).await.unwrap().unwrap();
    family.check_order(0..5);
}
