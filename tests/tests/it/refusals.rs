//! What `build` and `connect` refuse, and that each refusal says what to do.

use cached_repo::{
    Cache, CachedEntity, ErrorKind, Format, Repository, Result, Strategy,
    store::{self, SharedStore},
};
use tests::{Mode, Proxy, isolate, servers, servers::PrivateRedis};

use crate::stage::Todo;

#[track_caller]
fn refused<T>(result: Result<T>, kind: ErrorKind, words: &[&str]) {
    let Err(error) = result else { panic!("it was accepted") };
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

async fn redis() -> Cache {
    let builder = Cache::builder().namespace(isolate::unique("refusals"));
    builder.connect(&servers::redis_url()).await.unwrap()
}

async fn ready(store: SharedStore) -> SharedStore {
    store.create_tables::<Todo>().await.unwrap();
    store
}

#[tokio::test]
async fn a_strategy_without_the_store_it_needs() {
    for strategy in Strategy::ALL.iter().filter(|s| s.needs_store()) {
        let built = Repository::<Todo>::builder(&Cache::in_memory()).strategy(*strategy).build();
        refused(built.await, ErrorKind::Configuration, &[strategy.name(), ".store(&db)"]);
    }
}

#[tokio::test]
async fn a_url_of_an_unknown_or_unbuilt_scheme() {
    let unknown = store::connect("oracle://localhost/x").await;
    refused(unknown, ErrorKind::Configuration, &["sqlite", "postgres"]);
    refused(
        store::connect("mongodb+srv://u:hunter2@h/x").await,
        ErrorKind::Configuration,
        &["not built"],
    );
    refused(Cache::connect("http://localhost").await, ErrorKind::Configuration, &["redis://"]);
    let bad = Cache::connect("redis://user:hun ter2@[::bad").await;
    assert!(!format!("{:?}", bad.unwrap_err()).contains("hun ter2"));
}

#[tokio::test]
async fn a_redis_that_is_down_at_start_is_an_error_after_the_connect_timeout() {
    let proxy = Proxy::start(servers::redis_url()).await;
    for fault in [Mode::Refuse, Mode::BlackHole] {
        proxy.set(fault);
        let connected = Cache::connect(&proxy.url()).await;
        refused(connected, ErrorKind::CacheUnavailable, &["connect Redis"]);
    }
}

#[tokio::test]
async fn a_redis_that_refuses_the_password_or_the_database() {
    let url = servers::redis_url();
    let address = url.strip_prefix("redis://").unwrap();
    for (refusable, word) in [
        (format!("redis://nobody:hunter2@{address}"), "assword"),
        (format!("redis://{address}/123456"), "DB index"),
    ] {
        let connected = Cache::connect(&refusable).await;
        let message = connected.as_ref().unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
        refused(connected, ErrorKind::Configuration, &[address, "refuses", word]);
    }
}

#[tokio::test]
async fn two_structs_that_would_share_their_keys() {
    #[derive(Clone, Debug, CachedEntity)]
    #[cache(prefix = "todos")]
    struct Other {
        #[cache(id)]
        id: i64,
    }
    let (cache, store) = (Cache::in_memory(), store::memory());
    let one = Repository::<Todo>::builder(&cache).store(&store).build().await.unwrap();
    let other = Repository::<Other>::builder(&cache).store(&store).build().await;
    refused(other, ErrorKind::Configuration, &["`todos`", "Other", "Todo", "prefix"]);
    // Twice the same struct is two ways to use one entity.
    let builder = Repository::<Todo>::builder(&cache).store(&store);
    let two = builder.strategy(Strategy::WriteThrough).build().await.unwrap();
    drop((one, two));
    // What a build has failed for is nobody's.
    let other = Repository::<Other>::builder(&Cache::in_memory()).store(&store);
    other.build().await.unwrap();
}

#[tokio::test]
async fn a_redis_that_may_evict_the_only_copy() {
    let server = PrivateRedis::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let cache = Cache::connect(&server.url()).await.unwrap();
    let built = Repository::<Todo>::builder(&cache).strategy(Strategy::RedisOnly).build().await;
    refused(built, ErrorKind::Configuration, &["allkeys-lru", "noeviction"]);
    let store = ready(store::memory()).await;
    let other = Repository::<Todo>::builder(&cache).store(&store).build().await;
    assert!(other.is_ok(), "copies may be evicted");
}

#[tokio::test]
async fn a_redis_in_cluster_mode() {
    let connected = Cache::connect(&servers::redis_cluster_url()).await;
    refused(connected, ErrorKind::Configuration, &["cluster"]);
}

#[tokio::test]
async fn a_store_without_its_tables() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("x.db").display());
    let sqlite = store::connect(&url).await.unwrap();
    let built = Repository::<Todo>::builder(&Cache::in_memory()).store(&sqlite).build().await;
    refused(built, ErrorKind::Configuration, &["todos", "cached_repo_meta", "create_tables"]);
    let sql = sqlite.schema_sql::<Todo>().await.unwrap();
    for table in ["todos", "cached_repo_meta", "cached_repo_offsets"] {
        assert!(sql.contains(table), "{sql}");
    }
    sqlite.create_tables::<Todo>().await.unwrap();
    assert!(Repository::<Todo>::builder(&Cache::in_memory()).store(&sqlite).build().await.is_ok());
}

#[tokio::test]
async fn another_store_than_the_one_this_redis_knows() {
    let cache = redis().await;
    let (one, two) = (ready(store::memory()).await, ready(store::memory()).await);
    assert!(Repository::<Todo>::builder(&cache).store(&one).build().await.is_ok());
    let built = Repository::<Todo>::builder(&cache).store(&two).build().await;
    refused(built, ErrorKind::Configuration, &["another database", "@registry"]);
    assert!(Repository::<Todo>::builder(&cache).store(&one).build().await.is_ok());
}

#[tokio::test]
async fn other_partitions_than_the_other_processes_have() {
    let cache = redis().await;
    let builder = || Repository::<Todo>::builder(&cache).strategy(Strategy::RedisOnly);
    assert!(builder().build().await.is_ok());
    refused(builder().partitions(8).build().await, ErrorKind::Configuration, &["partitions = 16"]);
    refused(builder().partitions(0).build().await, ErrorKind::Configuration, &["1 to 4096"]);
}

#[tokio::test]
async fn settings_that_make_no_sense() {
    use std::time::Duration;
    let cache = Cache::in_memory();
    let builder = || Repository::<Todo>::builder(&cache).strategy(Strategy::RedisOnly);
    let configuration = ErrorKind::Configuration;
    refused(builder().prefix("a:b").build().await, configuration, &["prefix", "a:b"]);
    refused(builder().prefix("").build().await, configuration, &["prefix"]);
    refused(builder().table("a.b.c").build().await, configuration, &["schema.table"]);
    refused(builder().jitter_percent(101).build().await, configuration, &["jitter_percent"]);
    refused(builder().ttl(Duration::ZERO).build().await, configuration, &["ttl"]);
    for timeout in [Duration::ZERO, Duration::MAX] {
        let built = builder().store_timeout(timeout).build().await;
        refused(built, configuration, &["store_timeout"]);
    }
    for bytes in [0, 65 * 1024 * 1024] {
        refused(builder().value_max_bytes(bytes).build().await, configuration, &["64 MiB"]);
    }
    refused(builder().intent_grace(Duration::MAX).build().await, configuration, &["intent_grace"]);
    refused(builder().ttl(Duration::MAX).build().await, configuration, &["10 years"]);
    refused(builder().negative_ttl(Duration::MAX).build().await, configuration, &["10 years"]);
    let named = Cache::builder().namespace("a b").connect(&servers::redis_url()).await;
    refused(named, configuration, &["namespace"]);
}

#[tokio::test]
async fn names_parse_from_text_and_by_serde() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.name().parse::<Strategy>().unwrap(), *strategy);
        let json = serde_json::to_string(strategy).unwrap();
        assert_eq!(json, format!("\"{strategy}\""));
        assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), *strategy);
    }
    refused("write_trough".parse::<Strategy>(), ErrorKind::Configuration, &["write_through"]);
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), *format);
    }
    refused(
        "xml".parse::<Format>(),
        ErrorKind::Configuration,
        &["json", "hash", "json_doc", "msgpack"],
    );
}

/// A value that a certain database cannot hold is refused before anything is sent, in any strategy.
#[tokio::test]
async fn values_that_the_database_cannot_hold() {
    #[derive(Clone, CachedEntity)]
    #[cache(prefix = "numbers")]
    struct Number {
        #[cache(id)]
        id: i64,
        wide: u64,
        real: f64,
        text: String,
    }
    let number = |id| Number { id, wide: 1, real: 1.0, text: "x".to_owned() };
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("x.db").display());
    let urls = [url, servers::postgres_url(), servers::mysql_url()];
    for (url, [has_wide, has_nan, has_nul]) in
        urls.iter().zip([[false, false, true], [false, true, false], [true, false, true]])
    {
        let store = store::connect(url).await.unwrap();
        store.create_tables::<Number>().await.unwrap();
        let cache = redis().await;
        let repo = Repository::<Number>::builder(&cache)
            .store(&store)
            .strategy(Strategy::WriteThrough)
            .build()
            .await
            .unwrap();
        let before = repo.counts();
        for (is_held, column, bad) in [
            (has_wide, "wide", Number { wide: u64::MAX, ..number(1) }),
            (has_nan, "real", Number { real: f64::NAN, ..number(1) }),
            (has_nul, "text", Number { text: "a\0b".to_owned(), ..number(1) }),
        ] {
            if !is_held {
                let saved = repo.save(&bad).await;
                refused(saved, ErrorKind::Invalid, &[column, "save numbers \"1\""]);
            }
        }
        assert_eq!(repo.counts(), before, "nothing was asked or written");
        let _ = repo.save(&Number { wide: i64::MAX as u64, ..number(i64::MIN) }).await.unwrap();
        let found = repo.get(i64::MIN).await.unwrap().unwrap();
        assert_eq!((found.wide, found.real, &*found.text), (i64::MAX as u64, 1.0, "x"));
    }
}

#[tokio::test]
async fn only_copies_with_a_time_to_live_on_a_redis_that_evicts_such_entries() {
    let server = PrivateRedis::start(&["--maxmemory-policy", "volatile-ttl"]).await;
    let cache = Cache::connect(&server.url()).await.unwrap();
    let builder = || Repository::<Todo>::builder(&cache).strategy(Strategy::RedisOnly);
    assert!(builder().build().await.is_ok());
    let built = builder().ttl(std::time::Duration::from_secs(60)).build().await;
    refused(built, ErrorKind::Configuration, &["volatile-ttl"]);
}

/// Two ids that the database takes for one would be two entities that overwrite each other.
#[tokio::test]
async fn a_key_that_takes_different_ids_for_equal() {
    #[derive(Clone, CachedEntity)]
    #[cache(prefix = "folded")]
    struct Folded {
        #[cache(id)]
        id: String,
    }
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("x.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let table = "CREATE TABLE folded (id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL)";
    sqlx::raw_sql(table).execute(&pool).await.unwrap();
    let pg_table = isolate::unique("folded");
    let pg = sqlx::PgPool::connect(&servers::postgres_url()).await.unwrap();
    let collation = format!(
        "CREATE COLLATION c_{pg_table} (provider = icu, locale = 'und', deterministic = false); \
         CREATE TABLE {pg_table} (id TEXT COLLATE c_{pg_table} PRIMARY KEY)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(collation)).execute(&pg).await.unwrap();
    let mysql = sqlx::MySqlPool::connect(&servers::mysql_url()).await.unwrap();
    let padding = format!(
        "CREATE TABLE {pg_table} (id VARCHAR(99) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(padding)).execute(&mysql).await.unwrap();
    let stores = [
        (store::sqlite(pool), "folded", "NOCASE"),
        (store::postgres(pg), &pg_table, "c_"),
        (store::mysql(mysql), &pg_table, "utf8mb4_bin"),
    ];
    for (store, table, collation) in stores {
        store.create_tables::<Folded>().await.unwrap();
        let cache = Cache::in_memory();
        let built = Repository::<Folded>::builder(&cache).store(&store).table(table).build().await;
        refused(built, ErrorKind::Configuration, &[collation, "binary collation"]);
    }
}

/// SQLite would make a number of a text in such a column, and the zero in front would be gone.
#[tokio::test]
async fn a_column_whose_type_changes_values() {
    #[derive(Clone, CachedEntity)]
    #[cache(prefix = "places")]
    struct Place {
        #[cache(id)]
        id: i64,
        zip: String,
    }
    let sqlite = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let table = "CREATE TABLE places (id INTEGER PRIMARY KEY, zip INTEGER)";
    sqlx::raw_sql(table).execute(&sqlite).await.unwrap();
    let store = store::sqlite(sqlite);
    store.create_tables::<Place>().await.unwrap();
    let built = Repository::<Place>::builder(&Cache::in_memory()).store(&store).build().await;
    refused(built, ErrorKind::Configuration, &["`zip`", "INTEGER", "must be TEXT"]);
}
