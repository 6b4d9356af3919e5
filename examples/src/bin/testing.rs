//! A service, and tests of it with the test kit: crashes, outages and races that are the same in each run.

use std::time::Duration;

use cached_repo::{
    Cache, CachedEntity, Repository, Result, Saved,
    store::SharedStore,
    testing::{Kit, Point, Step},
};

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "orders", strategy = "write_behind")]
struct Order {
    #[cache(id)]
    id: u32,
    email: String,
    is_paid: bool,
}

/// The service. It knows nothing of tests: `main` gives it connections, a test gives it a process of the kit.
struct Shop(Repository<Order>);

impl Shop {
    async fn open(cache: &Cache, store: &SharedStore) -> Result<Self> {
        Ok(Self(Repository::builder(cache).store(store).build().await?))
    }

    async fn order(&self, id: u32, email: &str) -> Result<Saved> {
        self.0.save(&Order { id, email: email.to_owned(), is_paid: false }).await
    }

    async fn pay(&self, id: u32) -> Result<bool> {
        let Some(order) = self.0.get(id).await? else { return Ok(false) };
        self.0.save(&Order { is_paid: true, ..order }).await.map(|_| true)
    }
}

/// In a test this line is `#[tokio::test(start_paused = true)]`.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let kit = Kit::seeded(7);
    let process = kit.process();
    let shop = Shop::open(process.cache(), process.store()).await?;

    println!("The process dies when the database has committed, before Redis is told:");
    process.at(Point::After(Step::Drain)).crash();
    shop.order(1, "ada@example.com").await?;
    let next = kit.process();
    let shop = Shop::open(next.cache(), next.store()).await?;
    kit.settle().await?;
    println!("  {:?}", kit.database().rows::<Order>()?);

    println!("An order is paid while the database is down for ten minutes:");
    shop.order(2, "bob@example.com").await?;
    kit.database().down();
    tokio::time::sleep(Duration::from_secs(600)).await; // No time at all.
    println!("  paid: {}", shop.pay(2).await?);
    if let Err(why) = kit.settle().await {
        println!("  {why}");
    }
    kit.database().up();
    kit.settle().await?;
    println!("  {:?}", kit.database().rows::<Order>()?[1]);

    println!("The database refuses what another customer has:");
    kit.database().refuse("the address is taken", |order: &Order| order.email.starts_with("ada@"));
    let refused = shop.order(3, "ada@example.com").await?;
    if let Err(why) = refused.persisted().await {
        println!("  {why}");
    }
    if let Err(why) = kit.settle().await {
        println!("  {why}");
    }

    println!("What happened last:");
    kit.trace().iter().rev().take(4).rev().for_each(|line| println!("  {line}"));
    Ok(())
}
