//! What `build` refuses: circles, names that are none, parents elsewhere; and how a wrong name is found out.

use cached_repo::{
    Cache, CachedEntity, Error, ErrorKind, Health, Repository, Strategy,
    store::{self, SharedStore},
};

use super::{
    super::scene::patient,
    family::{Customer, Family, Note, Order},
};
use crate::stage::{On, Over};

/// Three entities by their prefixes, built with these parents, each in a process of its own.
struct Three {
    family: Family,
    store: SharedStore,
}

impl Three {
    async fn new(over: Over) -> Self {
        Self { family: Family::new(On::Memory, over).await, store: store::memory() }
    }

    async fn process(&self) -> Cache {
        self.family.scene.cache(patient().no_worker()).await
    }

    async fn build<E: CachedEntity>(&self, after: &[&str]) -> Result<(), Error> {
        self.build_at::<E>(&self.process().await, after).await
    }

    async fn build_at<E: CachedEntity>(&self, at: &Cache, after: &[&str]) -> Result<(), Error> {
        let builder = Repository::<E>::builder(at).store(&self.store);
        builder.after(after.iter().copied()).build().await.map(drop)
    }
}

fn refused(built: Result<(), Error>, with: &str) {
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains(with), "{error}");
}

#[tokio::test]
async fn circles_are_refused_whoever_comes_last_and_can_be_taken_back() {
    for over in [Over::InProcess, Over::Redis] {
        let three = Three::new(over).await;
        refused(three.build::<Order>(&["orders"]).await, "itself");
        three.build::<Order>(&["customers"]).await.unwrap();
        refused(
            three.build::<Customer>(&["orders"]).await,
            "customers after orders after customers",
        );
        // Over others, which are not built yet.
        three.build::<Note>(&["orders"]).await.unwrap();
        refused(three.build::<Customer>(&["notes"]).await, "notes after orders after customers");
        three.build::<Customer>(&[]).await.unwrap();
        three.build::<Order>(&["customers"]).await.unwrap();
        // The other way round, once the first one says so.
        three.build::<Order>(&[]).await.unwrap();
        three.build::<Note>(&[]).await.unwrap();
        three.build::<Customer>(&["orders"]).await.unwrap();
        refused(three.build::<Order>(&["notes", "customers"]).await, "circle");
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let three = Three::new(Over::InProcess).await;
    refused(three.build::<Order>(&["customers, notes"]).await, "characters");
    refused(three.build::<Order>(&[""]).await, "characters");
    refused(three.build::<Order>(&["notes", "notes"]).await, "twice");
    let many: Vec<_> = (0..17).map(|i| format!("parent{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(three.build::<Order>(&many).await, "at most 16");
    three.build::<Order>(&many[1..]).await.unwrap();
}

#[tokio::test]
async fn a_parent_in_another_database_is_refused() {
    let three = Three::new(Over::InProcess).await;
    three.build::<Customer>(&[]).await.unwrap();
    let elsewhere = Three { store: store::memory(), ..three };
    refused(elsewhere.build::<Order>(&["customers"]).await, "another database");
}

#[tokio::test]
async fn a_parent_that_nobody_has_built_is_told_until_somebody_does() {
    for over in [Over::InProcess, Over::Redis] {
        let three = Three::new(over).await;
        let (store, cache) = (&three.store, three.process().await);
        let orders = Repository::<Order>::builder(&cache).store(store).build().await.unwrap();
        let health = cache.health().await;
        assert!(
            matches!(&health, Health::Degraded(why) if why[0].contains("customers")),
            "{health:?}"
        );
        assert_eq!(orders.strategy(), Strategy::WriteBehind);
        three.build::<Customer>(&[]).await.unwrap();
        assert_eq!(cache.health().await, Health::Ok);
    }
}

#[tokio::test]
async fn processes_that_disagree_about_after_are_told_by_health_and_repositories_of_one_are_refused()
 {
    for over in [Over::InProcess, Over::Redis] {
        let three = Three::new(over).await;
        three.build::<Customer>(&[]).await.unwrap();
        three.build::<Note>(&[]).await.unwrap();
        let cache = three.process().await;
        three.build_at::<Order>(&cache, &["customers", "notes"]).await.unwrap();
        refused(three.build_at::<Order>(&cache, &[]).await, "say the same in all of them");
        // In whatever order they are named.
        three.build_at::<Order>(&cache, &["notes", "customers"]).await.unwrap();
        assert_eq!(cache.health().await, Health::Ok);
        three.build::<Order>(&["customers"]).await.unwrap();
        let Health::Degraded(why) = cache.health().await else { panic!("it is not told") };
        assert!(why[0].contains("customers,notes here, and after customers by another"), "{why:?}");
        three.build::<Order>(&["customers", "notes"]).await.unwrap();
        assert_eq!(cache.health().await, Health::Ok);
    }
}
