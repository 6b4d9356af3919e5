//! E11: one record in a hundred is one that the database refuses, in nine ways; the others get through.

use std::collections::{BTreeSet, HashMap};

use cached_repo::{CachedEntity, ErrorKind, Event, Repository, store};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use tests::{isolate, servers};

use super::{HANG, seed, sized, tell, turn, until};
use crate::{
    databases::DATABASES,
    stage::{Over, Todo, todo},
    write_behind::scene::{Events, Scene, patient},
};

const BATCH: usize = 200;
const PARTITIONS: u32 = 4;
/// Writes of one call.
const CALL: usize = 100;
/// One in ten comes twice in a row, and others by chance.
const IDS: i64 = 100_000;
/// The first id of poison, and of rows that poison is to overwrite.
const FIRST: i64 = 1_000_000;
const VICTIMS: i64 = 2_000_000;

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "records", strategy = "write_behind", partitions = 4, batch = 200)]
struct Record {
    #[cache(id)]
    id: i64,
    name: String,
    code: String,
    parent: i64,
    amount: i64,
    short: String,
    needed: Option<String>,
}

/// What the database does not take, by the code of its error.
const KINDS: [&str; 9] =
    ["23505", "23503", "23514", "22001", "22003", "23502", "P0001", "54000", "refused by save"];

impl Record {
    fn good(id: i64, name: String) -> Self {
        let (code, short, needed) = (name.clone(), "short".to_owned(), Some("here".to_owned()));
        Self { id, name, code, parent: 1, amount: 1, short, needed }
    }

    fn poisoned(mut self, kind: &str) -> Self {
        match kind {
            "23505" => self.code = "taken".to_owned(),
            "23503" => self.parent = 2,
            "23514" => self.amount = -1,
            "22001" => self.short = "much too long".to_owned(),
            "22003" => self.amount = i64::MAX,
            "23502" => self.needed = None,
            "P0001" => self.name = format!("boom {}", self.name),
            // So random that it cannot be compressed to what an index takes.
            "54000" => self.name = (0..8000).map(|_| fastrand::alphanumeric()).collect(),
            _ => self.name.push('\0'),
        }
        self
    }
}

/// Makes a table that is as particular as that. Answers its name.
async fn table(pool: &PgPool, db: &store::SharedStore) -> String {
    let table = isolate::unique("records");
    let schema = &Record::SCHEMA.with_table(table.clone());
    db.ledger(store::Ledger::Install { schema }).await.unwrap();
    let sql = "
        CREATE TABLE parents_{table} (id BIGINT PRIMARY KEY);
        INSERT INTO parents_{table} VALUES (1);
        ALTER TABLE {table} ADD UNIQUE (code), ADD CHECK (amount >= 0),
            ADD FOREIGN KEY (parent) REFERENCES parents_{table} (id),
            ADD doubled BIGINT GENERATED ALWAYS AS (amount * 2) STORED,
            ADD tiny VARCHAR(10) GENERATED ALWAYS AS (short) STORED, ALTER needed SET NOT NULL;
        CREATE INDEX ON {table} (name);
        CREATE FUNCTION boom_{table}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'boom'; END $$;
        CREATE TRIGGER boom BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
            WHEN (NEW.name LIKE 'boom %') EXECUTE FUNCTION boom_{table}();";
    raw_sql(AssertSqlSafe(sql.replace("{table}", &table))).execute(pool).await.unwrap();
    table
}

/// What was journaled, and what is to become of it.
#[derive(Default)]
struct Model {
    rows: HashMap<i64, String>,
    dead: BTreeSet<i64>,
    kinds: HashMap<&'static str, usize>,
    journaled: usize,
    /// How many of them are of an id that was journaled before.
    repeats: usize,
}

impl Model {
    /// Journals a call's worth of records, some ids twice, and one of them poison.
    async fn write(&mut self, repo: &Repository<Record>, call: usize) {
        let mut all = Vec::with_capacity(CALL);
        for n in 0..CALL - 2 {
            let id = match n % 10 {
                9 => all.last().map_or(0, |last: &Record| last.id),
                _ => fastrand::i64(0..IDS),
            };
            all.push(Record::good(id, format!("{call}-{n}")));
        }
        let (kind, number) = (KINDS[call % KINDS.len()], call as i64);
        let victim = Record::good(VICTIMS + number, format!("victim {call}"));
        // Each second time it is to overwrite a row.
        let id = if fastrand::bool() { victim.id } else { FIRST + number };
        all.push(victim);
        let poison = Record::good(id, format!("poison {call}")).poisoned(kind);
        *self.kinds.entry(kind).or_default() += 1;
        if kind == "refused by save" {
            let error = repo.save(&poison).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        } else {
            all.push(poison);
            self.dead.insert(id);
        }
        self.journaled += all.len();
        repo.save_many(&all).await.unwrap();
        if kind != "refused by save"
            && all.pop().is_some_and(|poison| poison.id == VICTIMS + number)
        {
            self.repeats += 1;
        }
        for record in all {
            self.repeats += usize::from(self.rows.insert(record.id, record.name).is_some());
        }
    }
}

#[tokio::test]
async fn of_a_hundred_records_one_is_refused_and_the_others_do_not_wait_for_it() {
    let _turn = turn().await;
    seed();
    let writes = sized(2_700, 20_000);
    let pool = PgPool::connect(&servers::postgres_url()).await.unwrap();
    let db = store::postgres(pool.clone());
    let table = table(&pool, &db).await;
    let namespace = isolate::unique("poison");
    let events = Events::default();
    let connect = async |cache: cached_repo::CacheBuilder| {
        let cache = cache.namespace(&*namespace).connect(&servers::redis_url()).await.unwrap();
        let builder = Repository::<Record>::builder(&cache).store(&db).table(&*table);
        // A batch that is looked through for poison takes longer, on a busy machine too long.
        let repo = builder.store_timeout(HANG).build().await.unwrap();
        (cache, repo)
    };
    let (first, repo) = connect(patient()).await;
    let taken = Record { code: "taken".to_owned(), ..Record::good(-1, "first".to_owned()) };
    repo.save(&taken).await.unwrap().persisted().await.unwrap();
    first.shutdown(HANG).await.unwrap();
    let mut model = Model::default();
    model.rows.insert(-1, "first".to_owned());
    for call in 0..writes / CALL {
        model.write(&repo, call).await;
    }
    let (worker, draining) = connect(events.listen(patient())).await;
    repo.flush().await.unwrap();
    let letters = worker.dead_letters().list("records").await.unwrap();
    let dead: BTreeSet<i64> = letters.iter().map(|letter| letter.id.parse().unwrap()).collect();
    assert_eq!((letters.len(), dead), (model.dead.len(), model.dead.clone()));
    let ids: Vec<i64> = model.rows.keys().copied().chain(model.dead.iter().copied()).collect();
    for when in ["cached", "evicted"] {
        for ids in ids.chunks(5000) {
            let found = repo.get_many(ids.iter().copied()).await.unwrap();
            for (id, found) in ids.iter().zip(found) {
                let found = found.map(|record| record.name);
                assert_eq!(found.as_ref(), model.rows.get(id), "{id} {when}");
                assert!(repo.evict(*id).await.unwrap());
            }
        }
    }
    until("all is counted", async || draining.counts().dead_lettered == model.dead.len() as u64)
        .await;
    let counts = draining.counts();
    assert_eq!(
        counts.drained + counts.coalesced + counts.dead_lettered,
        model.journaled as u64,
        "each record has one end: {counts:?}"
    );
    // Where a batch with poison in it is looked through it ends before an id comes back, and a
    // partition's last one need not be full.
    let batches = model.journaled / BATCH + PARTITIONS as usize + model.repeats;
    assert_eq!(counts.drain_failures, 0, "nothing has waited: {counts:?}");
    assert!(counts.drain_batches as usize <= batches, "{batches} batches are enough: {counts:?}");
    assert_eq!(events.count(|event| !matches!(event, Event::DeadLettered { .. })), 0);
    let codes: BTreeSet<&str> =
        KINDS.into_iter().filter(|code| letters.iter().any(|l| l.error.contains(*code))).collect();
    tell(
        "E11",
        format_args!(
            "{} writes, {} dead letters of {} kinds ({} of them named by their codes), {} refused by save, in \
             {} batches",
            model.journaled,
            model.dead.len(),
            model.kinds.len(),
            codes.len(),
            model.kinds["refused by save"],
            counts.drain_batches
        ),
    );
    assert_eq!(model.kinds.len(), KINDS.len());
}

/// PostgreSQL takes 65,535 values in a statement, SQLite 32,766.
#[tokio::test]
async fn eighty_thousand_values_are_drained_in_one_transaction() {
    let _turn = turn().await;
    for on in DATABASES {
        let scene = Scene::new(on, Over::InProcess).await;
        let writer = scene.writer().await;
        let all: Vec<Todo> = (0..10_000).map(|n: u32| todo(&n.to_string(), "a")).collect();
        writer.repo.save_many(&all).await.unwrap();
        let worker = scene.process(patient(), |builder| builder.batch(10_000)).await;
        worker.repo.flush().await.unwrap();
        let counts = worker.repo.counts();
        assert_eq!((scene.gate.drained(), scene.gate.rows()), (1, 10_000), "{on:?}");
        assert_eq!(scene.row("9999").await, "a");
        let values = all.len() * Todo::SCHEMA.columns().len();
        tell(
            "E11",
            format_args!("{values} values in {} transaction over {on:?}", counts.drain_batches),
        );
    }
}
