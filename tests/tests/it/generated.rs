//! Fields of columns that the database computes: they are read, and never written.

use cached_repo::{
    Cache, CachedEntity, ErrorKind, Format, Repository, RepositoryBuilder, Strategy,
    store::{Ledger, SharedStore},
};
use tempfile::TempDir;
use tests::{isolate, servers};

use crate::{
    databases::{DATABASES, On, open, run},
    stage::STORE_FIRST,
};

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "loud")]
struct Loud {
    #[cache(id)]
    id: i64,
    body: String,
    #[cache(generated)]
    shout: Option<String>,
    #[cache(generated, column = "size")]
    bytes: i32,
}

/// The same without what is computed, as a version before it was.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "loud", strategy = "write_behind")]
struct Quiet {
    #[cache(id)]
    id: i64,
    body: String,
}

/// What is saved: nobody believes what it says of the computed columns.
fn saved(id: i64, body: &str) -> Loud {
    Loud { id, body: body.to_owned(), shout: Some("a lie".to_owned()), bytes: -1 }
}

fn computed(id: i64, body: &str) -> Loud {
    Loud { shout: Some(body.to_uppercase()), bytes: body.len() as i32, ..saved(id, body) }
}

/// A table that `create_tables` made.
struct Desk {
    on: On,
    store: SharedStore,
    directory: Option<TempDir>,
    table: String,
}

impl Desk {
    async fn new(on: On) -> Self {
        let (store, directory) = open(on).await;
        let table = isolate::unique("loud");
        let schema = Loud::SCHEMA.with_table(table.clone());
        store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        Self { on, store, directory, table }
    }

    /// With the columns that the database computes.
    async fn computing(on: On) -> Self {
        let desk = Self::new(on).await;
        let text = if on == On::MySql { "VARCHAR(99)" } else { "TEXT" };
        desk.add(&format!("shout {text} GENERATED ALWAYS AS (upper(body))")).await;
        desk.add("size INTEGER GENERATED ALWAYS AS (length(body))").await;
        desk
    }

    async fn add(&self, column: &str) {
        let kept = if self.on == On::Postgres { "STORED" } else { "VIRTUAL" };
        let kept = if column.contains("GENERATED") { kept } else { "" };
        let sql = format!("ALTER TABLE {} ADD COLUMN {column} {kept}", self.table);
        run(self.on, self.directory.as_ref(), &sql).await;
    }

    fn builder<E: CachedEntity>(&self, cache: &Cache) -> RepositoryBuilder<E> {
        Repository::<E>::builder(cache).store(&self.store).table(&*self.table)
    }
}

async fn redis(namespace: &str) -> Cache {
    Cache::builder().namespace(namespace).connect(&servers::redis_url()).await.unwrap()
}

#[tokio::test]
async fn t4_what_the_database_computes_is_what_is_cached() {
    for on in DATABASES {
        for strategy in STORE_FIRST {
            // The others write no entry.
            let puts = strategy == Strategy::WriteThrough;
            let formats = [Format::Json, Format::Hash, Format::Msgpack];
            for &format in if puts { &formats[..] } else { &formats[..1] } {
                let desk = Desk::computing(on).await;
                let namespace = isolate::unique("generated");
                let cache = redis(&namespace).await;
                let repo = desk.builder::<Loud>(&cache).strategy(strategy).format(format);
                let repo = repo.build().await.unwrap();
                let other = desk.builder::<Loud>(&redis(&namespace).await).strategy(strategy);
                let other = other.format(format).build().await.unwrap();
                for body in ["quiet", "quieter"] {
                    repo.save(&saved(1, body)).await.unwrap();
                    let read = [repo.get(1).await.unwrap(), other.get(1).await.unwrap()];
                    assert_eq!(read, [Some(computed(1, body)), Some(computed(1, body))], "{on:?}");
                }
                let counts = repo.counts();
                let (hits_only, has_put) = (counts.misses == 0, counts.puts > 0);
                assert_eq!((hits_only, has_put), (puts, puts), "{on:?} {strategy}");
                let many: Vec<_> = (2..40).map(|id| saved(id, "many")).collect();
                repo.save_many(&many).await.unwrap();
                let found = repo.get_many(2..40).await.unwrap();
                assert!(found.into_iter().zip(2..).all(|(f, id)| f == Some(computed(id, "many"))));
                repo.delete(1).await.unwrap();
                assert_eq!(other.get(1).await.unwrap(), None);
            }
        }
    }
}

#[tokio::test]
async fn what_a_version_without_the_field_journaled_is_drained() {
    for on in DATABASES {
        let desk = Desk::computing(on).await;
        let namespace = isolate::unique("generated");
        let builder = Cache::builder().namespace(&*namespace).no_worker();
        let old = builder.connect(&servers::redis_url()).await.unwrap();
        let quiet = desk.builder::<Quiet>(&old).build().await.unwrap();
        quiet.save(&Quiet { id: 1, body: "journaled".to_owned() }).await.unwrap();
        let cache = redis(&namespace).await;
        let loud = desk.builder::<Loud>(&cache).strategy(Strategy::WriteThrough);
        let loud = loud.build().await.unwrap();
        loud.flush().await.unwrap();
        assert_eq!(loud.get(1).await.unwrap(), Some(computed(1, "journaled")), "{on:?}");
    }
}

#[tokio::test]
async fn a_field_and_its_column_agree_on_who_computes() {
    for on in DATABASES {
        let refused = async |desk: &Desk, words: &[&str]| {
            let built = desk.builder::<Loud>(&Cache::in_memory()).build().await;
            let error = built.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            for word in words {
                assert!(error.to_string().contains(word), "{on:?}: `{word}` is not in: {error}");
            }
        };
        let desk = Desk::new(on).await;
        refused(&desk, &["no column `shout`", "GENERATED ALWAYS AS", "no column `size`"]).await;
        desk.add("shout VARCHAR(99)").await;
        desk.add("size INTEGER GENERATED ALWAYS AS (length(body))").await;
        refused(&desk, &["`shout`", "is not computed", "take the attribute out"]).await;
        // And the other way round.
        let plain = desk.builder::<Plain>(&Cache::in_memory()).build().await.unwrap_err();
        assert!(plain.to_string().contains("#[cache(generated)]"), "{plain}");
    }
}

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "plain")]
struct Plain {
    #[cache(id)]
    id: i64,
    size: i32,
}

#[tokio::test]
async fn what_only_the_database_knows_is_refused_where_reads_show_what_was_saved() {
    let desk = Desk::computing(On::Sqlite).await;
    for strategy in [Strategy::WriteBehind, Strategy::RedisOnly] {
        let built = desk.builder::<Loud>(&Cache::in_memory()).strategy(strategy).build().await;
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("`shout` is `generated`"), "{error}");
        assert!(error.to_string().contains(strategy.name()), "{error}");
    }
    for on in [On::Memory, On::Mongo, On::MongoStandalone] {
        let desk = Desk::new(on).await;
        let error = desk.builder::<Loud>(&Cache::in_memory()).build().await.unwrap_err();
        assert!(error.to_string().contains("computes no columns"), "{on:?}: {error}");
    }
}
