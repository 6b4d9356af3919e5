//! Entries that are checked as a whole, and are not what was written.

use std::error::Error;

use cached_repo::{ErrorKind, Format, Strategy};

use crate::stage::{On, Over, STORE_FIRST, Stage, todo};

#[tokio::test]
async fn one_changed_letter_in_messagepack_is_a_counted_miss() {
    for strategy in STORE_FIRST {
        let stage = Stage::new(strategy, Format::Msgpack, On::Memory, Over::Redis).await;
        stage.repo.save(&todo("1", "a")).await.unwrap();
        stage.repo.get("1").await.unwrap();
        let (mut raw, key) = (stage.raw().await, stage.repo.key("1").unwrap());
        let entry: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
        let at = entry.windows(9).position(|bytes| bytes == b"a in full").unwrap();
        let mut change = redis::cmd("SETRANGE");
        change.arg(&key).arg(at).arg("b");
        let _: usize = change.query_async(&mut raw).await.unwrap();
        for _ in 0..2 {
            assert_eq!(stage.repo.get("1").await.unwrap(), Some(todo("1", "a")), "{strategy}");
        }
        assert_eq!(stage.repo.counts().undecodable, 1, "counted, and replaced");
    }
}

/// 64 blocks of a few bytes, each of which says one letter 128 Ki times.
#[tokio::test]
async fn a_compressed_entry_that_is_far_too_large_is_an_error() {
    let blocks: u32 = 64;
    let mut frame = b"\x28\xb5\x2f\xfd\xe0".to_vec();
    frame.extend((u64::from(blocks) << 17).to_le_bytes());
    for block in 1..=blocks {
        let header: u32 = (1 << 20) | 2 | u32::from(block == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    for (format, len) in [(Format::Json, 63), (Format::Msgpack, 62)] {
        let stage = Stage::new(Strategy::RedisOnly, format, On::Memory, Over::Redis).await;
        stage.repo.save(&todo("1", "a")).await.unwrap();
        let (mut raw, key) = (stage.raw().await, stage.repo.key("1").unwrap());
        let entry: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
        let planted = [&entry[..len], &frame].concat();
        let _: () = redis::cmd("SET").arg(&key).arg(planted).query_async(&mut raw).await.unwrap();
        let error = stage.repo.get("1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{error}");
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("value_max_bytes"), "{format}: {cause}");
    }
}
