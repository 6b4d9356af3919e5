//! Sessions in other zones and with other spellings of dates: values stay what they are.

use cached_repo::store;
use chrono::{DateTime, Utc};
use sqlx::{Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};
use tests::servers;

use super::*;

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "events", jitter = "0%")]
struct Event {
    #[cache(id)]
    at: DateTime<Utc>,
    ended: Option<DateTime<Utc>>,
    day: chrono::NaiveDate,
    local: chrono::NaiveDateTime,
}

fn event() -> Event {
    let at: DateTime<Utc> = "2026-03-29T00:30:00.123456Z".parse().unwrap();
    Event {
        at,
        ended: Some("2026-10-25T01:30:00Z".parse().unwrap()),
        day: at.date_naive(),
        local: at.naive_utc(),
    }
}

/// Writes by one process, whose sessions are as the pool says, and reads by another, and the other way.
async fn both_ways(theirs: SharedStore, ours: SharedStore) {
    let table = isolate::unique("events");
    let schema = Event::SCHEMA.with_table(table.clone());
    theirs.ledger(Ledger::Install { schema: &schema }).await.unwrap();
    for (writer, reader) in [(&theirs, &ours), (&ours, &theirs)] {
        let cache = Cache::in_memory();
        let builder = Repository::<Event>::builder(&cache).store(writer).table(&*table);
        let written = builder.strategy(Strategy::WriteThrough).build().await.unwrap();
        let _ = written.save(&event()).await.unwrap();
        assert_eq!(written.get(event().at).await.unwrap(), Some(event()));
        let cache = Cache::in_memory();
        let builder = Repository::<Event>::builder(&cache).store(reader).table(&*table);
        let read = builder.strategy(Strategy::CacheAside).build().await.unwrap();
        assert_eq!(read.get(event().at).await.unwrap(), Some(event()));
        let _ = read.delete(event().at).await.unwrap();
    }
}

#[tokio::test]
async fn postgres_in_another_zone_and_with_other_dates() {
    let options = PgPoolOptions::new().after_connect(|session, _| {
        Box::pin(async move {
            let set = "SET TIME ZONE 'Europe/Berlin'; SET DateStyle = 'German'";
            session.execute(set).await.map(drop)
        })
    });
    let pool = options.connect(&servers::postgres_url()).await.unwrap();
    let ours = store::connect(&servers::postgres_url()).await.unwrap();
    both_ways(store::postgres(pool), ours).await;
}

#[tokio::test]
async fn mysql_in_another_zone() {
    let options = MySqlPoolOptions::new().after_connect(|session, _| {
        Box::pin(async move { session.execute("SET time_zone = '+05:30'").await.map(drop) })
    });
    let pool = options.connect(&servers::mysql_url()).await.unwrap();
    let theirs = store::mysql(pool.clone());
    let ours = store::connect(&servers::mysql_url()).await.unwrap();
    both_ways(theirs.clone(), ours.clone()).await;
    // A TIMESTAMP is read in the session's zone: only sessions in UTC may have one.
    let table = isolate::unique("events");
    let schema = Event::SCHEMA.with_table(table.clone());
    let ddl = format!(
        "CREATE TABLE {table} (at TIMESTAMP(6) PRIMARY KEY, ended TIMESTAMP NULL, day DATE, \
         local DATETIME(6))"
    );
    pool.execute(sqlx::AssertSqlSafe(ddl)).await.unwrap();
    let missing = theirs.describe(&schema).await.unwrap().missing.join("\n");
    assert!(missing.contains("declared timestamp in the time zone +05:30"), "{missing}");
    assert_eq!(ours.describe(&schema).await.unwrap().missing, Vec::<String>::new());
}
