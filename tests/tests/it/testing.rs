//! The test kit for users, used as a user would: `cached_repo::testing`.

use std::time::Duration;

use cached_repo::{
    CachedEntity, ErrorKind, Repository, Strategy,
    testing::{Kit, Point, Process, Step},
};

mod faults;
mod points;
mod processes;
mod seeds;
mod settling;

/// What is written behind.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "orders", strategy = "write_behind", durability = "fsync", partitions = 4)]
struct Order {
    #[cache(id)]
    id: u32,
    state: String,
}

fn order(id: u32, state: &str) -> Order {
    Order { id, state: state.to_owned() }
}

/// A process, and its repository of orders.
async fn orders(kit: &Kit) -> (Process, Repository<Order>) {
    let process = kit.process();
    let orders = repository(&process, Strategy::WriteBehind).await;
    (process, orders)
}

async fn repository(process: &Process, strategy: Strategy) -> Repository<Order> {
    let builder = Repository::builder(process.cache()).store(process.store());
    builder.strategy(strategy).build().await.unwrap()
}

fn states(kit: &Kit) -> Vec<String> {
    kit.database().rows::<Order>().unwrap().into_iter().map(|order| order.state).collect()
}
