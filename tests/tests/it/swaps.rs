//! Changing the strategy's word on live data, with processes of the old and the new word side by side.

use cached_repo::{CacheStep, Format, Strategy};

use crate::stage::{On, Over, STORE_FIRST, Stage, WITH_STORE, name, todo};

#[tokio::test]
async fn processes_of_any_two_strategies_with_a_store_see_each_others_writes() {
    for (on, over) in [
        (On::Memory, Over::InProcess),
        (On::Memory, Over::Redis),
        (On::Postgres, Over::InProcess),
        (On::MySql, Over::Redis),
    ] {
        for old in WITH_STORE {
            let stage = Stage::new(old, Format::Json, on, over).await;
            for new in WITH_STORE {
                let swapped = stage.builder(stage.cache()).strategy(new).build().await.unwrap();
                let (one, two) = (&stage.repo, &swapped);
                for (round, (writer, reader)) in
                    [(one, two), (two, one)].repeat(3).iter().enumerate()
                {
                    let text = format!("{old} {new} {round}");
                    let saved = writer.save(&todo("1", &text)).await.unwrap();
                    assert_eq!(saved.cache(), CacheStep::Done);
                    for repo in [reader, writer, reader] {
                        assert_eq!(name(repo.get("1").await.unwrap()), text);
                    }
                }
                two.delete("1").await.unwrap();
                assert_eq!(name(one.get("1").await.unwrap()), "none");
            }
        }
    }
}

#[tokio::test]
async fn what_redis_only_keeps_is_read_by_the_others_and_not_overwritten() {
    for over in [Over::InProcess, Over::Redis] {
        let stage = Stage::new(Strategy::RedisOnly, Format::Json, On::Memory, over).await;
        stage.repo.save(&todo("1", "kept")).await.unwrap();
        for strategy in STORE_FIRST {
            let other = stage.builder(stage.cache()).strategy(strategy).build().await.unwrap();
            assert_eq!(name(other.get("1").await.unwrap()), "kept");
            let error = other.save(&todo("1", "lost")).await.unwrap_err();
            assert!(error.to_string().contains("redis_only"), "{error}");
            assert!(!other.evict("1").await.unwrap());
            assert!(other.delete("1").await.is_err());
        }
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "kept");
    }
}
