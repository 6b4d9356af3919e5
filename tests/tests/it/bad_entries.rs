//! Bytes under an entry's key that are no entry of this entity: counted, and never believed.

use cached_repo::{ErrorKind, Format, Strategy};

use crate::stage::{On, Over, STORE_FIRST, Stage, name, todo};

#[tokio::test]
async fn a20_one_bad_entry_of_many_is_a_miss_and_the_others_are_hits() {
    for &format in Format::ALL {
        for strategy in STORE_FIRST {
            let over = Over::redis_of(&[format]);
            let stage = Stage::new(strategy, format, On::Memory, over).await;
            let _ = stage.repo.save_many(&[todo("1", "a"), todo("2", "b"), todo("3", "c")]).await;
            let _ = stage.repo.get_many(["1", "2", "3"]).await.unwrap();
            let mut raw = stage.raw().await;
            let key = stage.repo.key("2").unwrap();
            let mut plant = redis::pipe();
            plant.cmd("DEL").arg(&key);
            match format {
                Format::Json => {
                    plant.cmd("SET").arg(&key).arg(b"{\"_cr\":\"garbage\xff".as_slice())
                }
                Format::Msgpack => {
                    plant.cmd("SET").arg(&key).arg(b"\x83\xa3_cr\xda\x00\x36garbage".as_slice())
                }
                Format::JsonDoc => {
                    plant.cmd("JSON.SET").arg(&key).arg("$").arg("{\"rank\":\"garbage\"}")
                }
                _ => plant.cmd("HSET").arg(&key).arg("rank").arg("garbage"),
            };
            let _: redis::Value = plant.query_async(&mut raw).await.unwrap();
            let before = stage.repo.counts();
            let found = stage.repo.get_many(["1", "2", "3"]).await.unwrap();
            let names: Vec<_> = found.into_iter().map(name).collect();
            assert_eq!(names, ["a", "b", "c"]);
            let counts = stage.repo.counts();
            assert_eq!(counts.undecodable, before.undecodable + 1, "counted");
            assert_eq!((counts.hits, counts.misses), (before.hits + 2, before.misses + 1));
            assert_eq!(name(stage.repo.get("2").await.unwrap()), "b");
            assert_eq!(stage.repo.counts().undecodable, counts.undecodable, "and replaced");
        }
    }
}

#[tokio::test]
async fn an_entry_whose_nested_value_has_another_shape_is_a_counted_miss() {
    // The check of MessagePack makes damage of such an entry.
    for format in [Format::Json, Format::Hash, Format::JsonDoc] {
        for strategy in STORE_FIRST {
            let over = Over::redis_of(&[format]);
            let stage = Stage::new(strategy, format, On::Memory, over).await;
            stage.repo.save(&todo("1", "a")).await.unwrap();
            stage.repo.get("1").await.unwrap();
            let key = stage.repo.key("1").unwrap();
            let mut raw = stage.raw().await;
            // What a struct of another version leaves: the columns decode, the entity does not.
            let plant = match format {
                Format::Json => {
                    let text: String =
                        redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
                    let (head, _) = text.split_once("\"labels\"").unwrap();
                    let mut set = redis::cmd("SET");
                    set.arg(&key).arg(format!("{head}\"labels\":{{\"other\":1}}}}"));
                    set
                }
                Format::JsonDoc => {
                    let mut set = redis::cmd("JSON.SET");
                    set.arg(&key).arg("$.labels").arg("{\"other\":1}");
                    set
                }
                _ => {
                    let mut set = redis::cmd("HSET");
                    set.arg(&key).arg("labels").arg("{\"other\":1}");
                    set
                }
            };
            let _: redis::Value = plant.query_async(&mut raw).await.unwrap();
            for _ in 0..2 {
                assert_eq!(name(stage.repo.get("1").await.unwrap()), "a", "{format} {strategy}");
            }
            assert_eq!(stage.repo.counts().undecodable, 1, "counted, and replaced");
        }
    }
}

#[tokio::test]
async fn an_entry_that_answers_another_key_is_not_believed() {
    let stage = Stage::new(Strategy::CacheAside, Format::Json, On::Memory, Over::Redis).await;
    let _ = stage.repo.save_many(&[todo("1", "a"), todo("2", "b")]).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    let (from, to) = (stage.repo.key("1").unwrap(), stage.repo.key("2").unwrap());
    let mut raw = stage.raw().await;
    let _: i64 = redis::cmd("COPY").arg(from).arg(to).query_async(&mut raw).await.unwrap();
    assert_eq!(name(stage.repo.get("2").await.unwrap()), "b");
    assert_eq!(stage.repo.counts().undecodable, 1);
    // An absence holds no id that could be compared.
    assert_eq!(stage.repo.get("nobody").await.unwrap(), None);
    let (from, to) = (stage.repo.key("nobody").unwrap(), stage.repo.key("1").unwrap());
    let mut copy = redis::cmd("COPY");
    let _: i64 = copy.arg(from).arg(to).arg("REPLACE").query_async(&mut raw).await.unwrap();
    assert_eq!(name(stage.repo.get("1").await.unwrap()), "a");
    assert_eq!(stage.repo.counts().undecodable, 2);
}

#[tokio::test]
async fn under_redis_only_an_undecodable_entry_is_an_error_and_stays() {
    for &format in Format::ALL {
        let over = Over::redis_of(&[format]);
        let stage = Stage::new(Strategy::RedisOnly, format, On::Memory, over).await;
        let key = stage.repo.key("1").unwrap();
        let mut raw = stage.raw().await;
        let _: () = redis::cmd("SET").arg(&key).arg("garbage").query_async(&mut raw).await.unwrap();
        let error = stage.repo.get("1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{format}: {error}");
        let kept: String = redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
        assert_eq!(kept, "garbage");
    }
}
