//! What `write_behind` does beyond what every strategy promises: receipts, barriers, shutdown.

use std::time::Duration;

use cached_repo::{CacheStep, Durable, Format, Health, Shutdown, Strategy};

use crate::stage::{On, Over, Stage, todo};

/// Runs a body over both backends.
macro_rules! over_both {
    ($(#[$doc:meta])* $name:ident, |$scene:ident| $body:block) => {
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            for over in [Over::InProcess, Over::Redis] {
                let $scene = Scene::new(On::Memory, over).await;
                $body
            }
        }
    };
}

mod runtimes;
pub(crate) mod scene;

mod receipts;

mod path;

mod backlog;

mod durability;
mod durability_only;

mod overflow;

mod drain;

mod corners;
mod crashes;

mod dead_letters;

mod recovery;
mod refused;

mod incidents;

mod swap;

mod shapes;
mod shutdown;

mod releases;
mod repartition;
mod repartition_crashes;
mod repartition_incidents;
mod repartition_letters;
mod reports;
mod retention;

mod after;

mod fairness;

mod holes;

#[tokio::test]
async fn a_save_is_journaled_at_once_and_persisted_a_moment_later() {
    for over in [Over::InProcess] {
        let stage = Stage::new(Strategy::WriteBehind, Format::Json, On::Memory, over).await;
        let saved = stage.repo.save(&todo("1", "one")).await.unwrap();
        assert_eq!((saved.durable(), saved.cache()), (Durable::Journaled, CacheStep::Done));
        assert_eq!(stage.repo.get("1").await.unwrap(), Some(todo("1", "one")));
        saved.persisted().await.unwrap();
        assert!(stage.repo.evict("1").await.unwrap(), "what is in the store may be evicted");
        assert_eq!(stage.repo.get("1").await.unwrap(), Some(todo("1", "one")));
        stage.repo.delete("1").await.unwrap();
        assert_eq!(stage.repo.get("1").await.unwrap(), None);
        stage.repo.flush().await.unwrap();
        assert_eq!(stage.repo.get("1").await.unwrap(), None);
        assert_eq!(stage.cache().health().await, Health::Ok);
        let left = stage.cache().shutdown(Duration::from_secs(10)).await.unwrap();
        assert_eq!(left, Shutdown::Drained);
    }
}
