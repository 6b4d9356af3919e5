//! Another format on live data: copies are misses, and what the store does not have is read.

use cached_repo::{Durable, Format, Repository, Strategy};
use tests::Point;

use crate::stage::{On, Over, STORE_FIRST, Stage, Todo, WITH_STORE, get, name, todo};

/// Each format, and each of the others.
fn changes() -> impl Iterator<Item = (Format, Format)> {
    let others = |old| Format::ALL.iter().filter(move |&&new| new != old).map(move |&n| (old, n));
    Format::ALL.iter().flat_map(move |&old| others(old))
}

/// Another process of the same entity.
async fn other(stage: &Stage, strategy: Strategy, format: Format) -> Repository<Todo> {
    let builder = stage.builder(stage.cache()).strategy(strategy).format(format);
    builder.build().await.unwrap()
}

#[tokio::test]
async fn copies_in_another_format_are_misses_and_replaced() {
    for (old, new) in changes() {
        for over in [Over::InProcess, Over::redis_of(&[old, new])] {
            for strategy in STORE_FIRST {
                let stage = Stage::new(strategy, old, On::Memory, over).await;
                let other = other(&stage, strategy, new).await;
                stage.repo.save(&todo("1", "a")).await.unwrap();
                stage.repo.get("1").await.unwrap();
                let loads = stage.gate.loads();
                for _ in 0..2 {
                    let found = other.get("1").await.unwrap();
                    assert_eq!(found, Some(todo("1", "a")), "{old} {new} {strategy}");
                }
                assert_eq!(stage.gate.loads(), loads + 1, "{old} {new} {strategy}: replaced");
                assert_eq!((other.counts().undecodable, other.counts().hits), (0, 1));
                // Either one's write ends the other's copy.
                other.save(&todo("1", "b")).await.unwrap();
                assert_eq!(name(stage.repo.get("1").await.unwrap()), "b");
                stage.repo.delete("1").await.unwrap();
                assert_eq!(other.get("1").await.unwrap(), None);
            }
        }
    }
}

#[tokio::test]
async fn journaled_writes_in_another_format_are_read_and_built_on() {
    for (old, new) in changes() {
        for over in [Over::InProcess, Over::redis_of(&[old, new])] {
            let stage = Stage::new(Strategy::WriteBehind, old, On::Memory, over).await;
            stage.repo.save(&todo("1", "in the store")).await.unwrap().persisted().await.unwrap();
            for (deletes, expected) in [(false, "journaled"), (true, "none")] {
                let held = stage.gate.hold(Point::BeforeApply, "1");
                match deletes {
                    false => stage.repo.save(&todo("1", "journaled")).await.unwrap(),
                    true => stage.repo.delete("1").await.unwrap(),
                };
                for strategy in WITH_STORE {
                    let other = other(&stage, strategy, new).await;
                    let found = name(other.get("1").await.unwrap());
                    assert_eq!(found, expected, "{old} {new} {over:?} {strategy}");
                    let many = other.get_many(["nobody", "1"]).await.unwrap();
                    let names: Vec<_> = many.into_iter().map(name).collect();
                    assert_eq!(names, ["none", expected], "{old} {new} {over:?} {strategy}");
                }
                let behind = other(&stage, Strategy::WriteBehind, new).await;
                let saved = behind.save(&todo("1", "later")).await.unwrap();
                assert_eq!(saved.durable(), Durable::Journaled);
                assert_eq!(name(stage.repo.get("1").await.unwrap()), "later", "{old} {new}");
                held.release();
                saved.persisted().await.unwrap();
                stage.repo.evict("1").await.unwrap();
                assert_eq!(name(stage.repo.get("1").await.unwrap()), "later", "{old} {new}");
            }
        }
    }
}

#[tokio::test]
async fn the_only_copies_in_another_format_are_read_and_written() {
    for (old, new) in changes() {
        for over in [Over::InProcess, Over::redis_of(&[old, new])] {
            let stage = Stage::new(Strategy::RedisOnly, old, On::Memory, over).await;
            let other = other(&stage, Strategy::RedisOnly, new).await;
            stage.repo.save(&todo("1", "a")).await.unwrap();
            assert_eq!(other.get("1").await.unwrap(), Some(todo("1", "a")), "{old} {new} {over:?}");
            let many = other.get_many(["nobody", "1"]).await.unwrap();
            assert_eq!(many, [None, Some(todo("1", "a"))], "{old} {new} {over:?}");
            other.save(&todo("1", "b")).await.unwrap();
            assert_eq!(name(stage.repo.get("1").await.unwrap()), "b", "{old} {new} {over:?}");
            other.delete("1").await.unwrap();
            assert_eq!(stage.repo.get("1").await.unwrap(), None, "{old} {new} {over:?}");
        }
    }
}

/// The first look of a reader of strings passes over other types: what it shares with an earlier reader must
/// not be from before a write that was acknowledged before it asked.
#[tokio::test(start_paused = true)]
async fn a_reader_that_joins_behind_a_journaled_write_of_another_type_reads_it() {
    let others = [Format::Hash, Format::JsonDoc].into_iter();
    let pairs = others.flat_map(|other| [(Format::Json, other), (Format::Msgpack, other)]);
    for (format, written) in pairs {
        let stage = Stage::new(Strategy::ReadThrough, format, On::Memory, Over::InProcess).await;
        let writer = other(&stage, Strategy::WriteBehind, written).await;
        writer.save(&todo("1", "older")).await.unwrap().persisted().await.unwrap();
        assert!(writer.evict("1").await.unwrap());
        // Another process has the right to fill, so that an earlier reader of this one waits for it.
        let filler = stage.process().await;
        let filling = stage.gate.hold(Point::AfterLoad, "1");
        let filled = get(&filler, "1");
        filling.arrived().await;
        let earlier = get(&stage.repo, "1");
        // It is no more than some steps from here to where it waits; time stands still meanwhile.
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        let draining = stage.gate.hold(Point::BeforeApply, "1");
        writer.save(&todo("1", "newer")).await.unwrap();
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "newer", "{format}");
        earlier.await.unwrap();
        filling.release();
        filled.await.unwrap();
        assert_eq!(name(filler.get("1").await.unwrap()), "newer", "{format}");
        draining.release();
    }
}
