//! Compressed entries: smaller, read by everybody, and beside entries that are not.

use cached_repo::{Cache, CachedEntity, Compression, ErrorKind, Format, Repository, Strategy};
use tests::{isolate, servers};

use crate::stage::{On, Over, Stage, Todo, todo};

/// What is compressed by default, many times over.
const LARGE: usize = 200_000;

fn large(id: &str) -> Todo {
    todo(id, &"\u{1F980} words, words. ".repeat(LARGE / 20))
}

async fn size(stage: &Stage, id: &str) -> usize {
    let key = stage.repo.key(id).unwrap();
    redis::cmd("STRLEN").arg(key).query_async(&mut stage.raw().await).await.unwrap()
}

#[tokio::test]
async fn entries_with_and_without_compression_stand_side_by_side() {
    for format in [Format::Json, Format::Msgpack] {
        for over in [Over::InProcess, Over::Redis] {
            for strategy in [Strategy::WriteThrough, Strategy::WriteBehind, Strategy::RedisOnly] {
                let stage = Stage::new(strategy, format, On::Memory, over).await;
                let builder = stage.builder(stage.cache()).compress(Compression::Zstd);
                let compressing = builder.build().await.unwrap();
                for (writer, reader) in [(&stage.repo, &compressing), (&compressing, &stage.repo)] {
                    for entity in [large("1"), todo("1", "small")] {
                        writer.save(&entity).await.unwrap();
                        for repo in [reader, writer] {
                            let found = repo.get("1").await.unwrap();
                            assert!(
                                found.as_ref() == Some(&entity),
                                "{format} {over:?} {strategy}"
                            );
                        }
                    }
                    if strategy != Strategy::RedisOnly {
                        reader.flush().await.unwrap();
                        reader.evict("1").await.unwrap();
                        assert_eq!(writer.get("1").await.unwrap(), Some(todo("1", "small")));
                    }
                    assert_eq!(
                        (reader.counts().undecodable, reader.counts().dead_lettered),
                        (0, 0)
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_large_is_compressed_and_what_is_small_or_random_stays() {
    for format in [Format::Json, Format::Msgpack] {
        let stage = Stage::new(Strategy::RedisOnly, format, On::Memory, Over::Redis).await;
        let build = async |min_bytes| {
            let builder = stage.builder(stage.cache()).compress(Compression::Zstd);
            builder.compress_min_bytes(min_bytes).build().await.unwrap()
        };
        let (usual, eager) = (build(4096).await, build(0).await);
        let mut sizes = Vec::new();
        for repo in [&stage.repo, &usual, &eager] {
            for entity in [large("large"), todo("small", &"small".repeat(20))] {
                repo.save(&entity).await.unwrap();
                sizes.push(size(&stage, &entity.id).await);
            }
        }
        let [large, small, packed, same, _, smaller] = sizes[..] else { panic!("six saves") };
        assert!(packed < large / 20 && same == small && smaller < small, "{format}: {sizes:?}");
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(10_000).collect();
        let random = Todo { blob: noise, ..todo("random", "") };
        if format == Format::Msgpack {
            stage.repo.save(&random).await.unwrap();
            let plain = size(&stage, "random").await;
            eager.save(&random).await.unwrap();
            assert_eq!(
                size(&stage, "random").await,
                plain,
                "a frame that is larger is not written"
            );
        }
        eager.save(&random).await.unwrap();
        assert_eq!(stage.repo.get("random").await.unwrap(), Some(random));
    }
}

#[tokio::test]
async fn the_attribute_compresses_and_the_journal_stays_readable() {
    #[derive(Clone, Debug, PartialEq, CachedEntity)]
    #[cache(prefix = "pages", strategy = "write_behind", compress = "zstd")]
    struct Page {
        #[cache(id)]
        id: i64,
        text: String,
    }
    let cache = Cache::builder().namespace(isolate::unique("compressed")).no_worker();
    let cache = cache.connect(&servers::redis_url()).await.unwrap();
    let store = cached_repo::store::memory();
    store.create_tables::<Page>().await.unwrap();
    let builder = Repository::<Page>::builder(&cache).store(&store).partitions(1);
    let pages = builder.build().await.unwrap();
    let page = Page { id: 1, text: "words ".repeat(10_000) };
    pages.save(&page).await.unwrap();
    assert_eq!(pages.get(1).await.unwrap().as_ref(), Some(&page));
    let mut raw = tests::raw(servers::redis_url()).await;
    let key = pages.key(1).unwrap();
    let entry: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
    assert!(entry.len() < 1000 && entry.starts_with(b"{\"_cr\":\"1d"), "{}", entry.escape_ascii());
    let worker = tokio::spawn(cache.drain());
    pages.flush().await.unwrap();
    worker.abort();
    assert_eq!(pages.get(1).await.unwrap().as_ref(), Some(&page), "a copy by now");
    pages.evict(1).await.unwrap();
    assert_eq!(pages.get(1).await.unwrap(), Some(page), "the store has it");
}

#[tokio::test]
async fn the_format_hash_is_not_compressed() {
    let builder = Repository::<Todo>::builder(&Cache::in_memory()).strategy(Strategy::RedisOnly);
    let built = builder.format(Format::Hash).compress(Compression::Zstd).build().await;
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("json or msgpack"), "{error}");
    for compression in Compression::ALL {
        assert_eq!(compression.name().parse::<Compression>().unwrap(), *compression);
    }
    assert_eq!("gzip".parse::<Compression>().unwrap_err().kind(), ErrorKind::Configuration);
}
