//! Every type of id on every store: its key, its row, and the parts of composite ones.

use cached_repo::{
    Change, EntityId, Id, IntoId, Record, Value,
    store::{Batch, Query, conformance},
};
use chrono::{DateTime, NaiveDate, Utc};
use mongodb::bson::oid::ObjectId;
use rust_decimal::Decimal;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

/// An entity with an id of any type.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "keyed", jitter = "0%")]
struct Keyed<I>
where
    I: cached_repo::Column + Clone + Send + Sync + 'static,
{
    #[cache(id)]
    id: I,
    name: String,
}

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "paired", jitter = "0%")]
struct Paired {
    #[cache(id)]
    tenant: Uuid,
    #[cache(id)]
    day: NaiveDate,
    name: String,
}

macro_rules! on_every_store {
    ($($name:ident $on:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            ids_of_every_type(On::$on).await;
        }
    )*};
}
on_every_store! {
    on_memory Memory;
    on_sqlite Sqlite;
    on_postgres Postgres;
    on_mysql MySql;
    on_mongo Mongo;
    on_mongo_standalone MongoStandalone;
}

async fn ids_of_every_type(on: On) {
    keyed(on, [(i64::MIN, "-9223372036854775808"), (i64::MAX, "9223372036854775807")]).await;
    keyed(on, [(0_u64, "0"), (i64::MAX as u64, "9223372036854775807")]).await;
    keyed(on, [(true, "true"), (false, "false")]).await;
    keyed(on, [("A\u{1F980}".to_owned(), "A%F0%9F%A6%80"), (" ".to_owned(), "%20")]).await;
    let uuid = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
    let nil = "00000000-0000-0000-0000-000000000000";
    keyed(on, [(uuid, "67e55044-10b1-426f-9247-bb680e5fe0c8"), (Uuid::nil(), nil)]).await;
    let (zeros, ones) = (ObjectId::from_bytes([0; 12]), ObjectId::from_bytes([255; 12]));
    keyed(on, [(zeros, "000000000000000000000000"), (ones, "ffffffffffffffffffffffff")]).await;
    let (first, last) = ("1000-01-01", "9999-12-31");
    keyed::<NaiveDate>(on, [(first.parse().unwrap(), first), (last.parse().unwrap(), last)]).await;
    let [first, last] = ["1969-12-31T23:59:59.999Z", "2026-01-02T03:04:05Z"]
        .map(|text| text.parse::<DateTime<Utc>>().unwrap());
    let texts = ["1969-12-31T23%3A59%3A59.999Z", "2026-01-02T03%3A04%3A05Z"];
    keyed(on, [(first, texts[0]), (last, texts[1])]).await;
    // Two that are one as floats, and one that is written with more zeros than it needs.
    let close = Decimal::from_str_exact("9007199254740993.0000000001").unwrap();
    let text = "9007199254740993.0000000001";
    keyed(on, [(close, text), (Decimal::new(9_007_199_254_740_993, 0), &text[..16])]).await;
    keyed(on, [(Decimal::new(150, 2), "1.5"), (Decimal::ZERO, "0")]).await;
}

async fn keyed<I>(on: On, ids: [(I, &str); 2])
where
    I: cached_repo::Column + PartialEq + std::fmt::Debug + Clone + Send + Sync + 'static,
    Keyed<I>: CachedEntity<Id = I>,
    I: Id + IntoId<I>,
{
    let scene = Scene::new::<Keyed<I>>(on, Over::Redis).await;
    let entity = |id: &I, name: &str| Keyed { id: id.clone(), name: name.to_owned() };
    for (strategy, format) in
        [(Strategy::WriteThrough, Format::Hash), (Strategy::WriteBehind, Format::Json)]
    {
        let repo = scene.repo::<Keyed<I>>(strategy, format).await;
        for name in ["first", "second"] {
            let all: Vec<_> = ids.iter().map(|(id, _)| entity(id, name)).collect();
            let _ = repo.save_many(&all).await.unwrap();
            repo.flush().await.unwrap();
            for (id, text) in &ids {
                let key = repo.key(id.clone()).unwrap();
                assert!(key.ends_with(&format!(":{text}")), "{key} of {id:?} on {on:?}");
                assert!(repo.evict(id.clone()).await.unwrap(), "{id:?} on {on:?}");
                let saved = Some(entity(id, name));
                assert_eq!(repo.get(id.clone()).await.unwrap(), saved, "{id:?} on {on:?}");
                assert_eq!(repo.get(id.clone()).await.unwrap(), saved, "{id:?} on {on:?}");
            }
        }
        let (gone, left) = (&ids[0].0, &ids[1].0);
        let _ = repo.delete(gone.clone()).await.unwrap();
        repo.flush().await.unwrap();
        let _ = repo.evict(gone.clone()).await.unwrap();
        let loads = scene.gate.loads();
        assert_eq!(repo.get(gone.clone()).await.unwrap(), None, "{gone:?} on {on:?}");
        assert_eq!(scene.gate.loads(), loads + 1);
        assert!(repo.get(left.clone()).await.unwrap().is_some(), "{left:?} on {on:?}");
    }
}

/// Of so many in so small a table that a database may look at each row in place of its index, where
/// MariaDB compares decimals with texts as floats.
#[tokio::test]
async fn decimals_that_are_one_as_floats_are_rows_of_their_own() {
    let ids = |fraction: &str| -> Vec<EntityId> {
        let texts = (0..8).map(|n| format!("{}{fraction}", 9_007_199_254_740_993_i64 + 10 * n));
        texts.map(|text| conformance::id(vec![Value::Text(text.into())])).collect()
    };
    let (gone, kept) = (ids(""), ids(".0000000001"));
    for on in STORES {
        let scene = Scene::new::<Keyed<Decimal>>(on, Over::Redis).await;
        let schema = Keyed::<Decimal>::SCHEMA.with_table(scene.table.clone());
        let put = |id: &EntityId| {
            let mut record = Record::absent(2);
            record.set(0, id.values()[0].clone());
            record.set(1, Value::Text("x".into()));
            Change::Put { id: id.clone(), record }
        };
        let puts: Vec<_> = gone.iter().chain(&kept).map(put).collect();
        let deletes: Vec<_> = gone.iter().map(|id| Change::Delete { id: id.clone() }).collect();
        for changes in [puts, deletes] {
            let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
            scene.store.apply(&schema, batch).await.unwrap_or_else(|e| panic!("{on:?}: {e}"));
        }
        let found = scene.store.load(&schema, Query::Ids(&kept)).await.unwrap();
        assert_eq!(found.len(), kept.len(), "{on:?}");
        assert!(scene.store.load(&schema, Query::Ids(&gone)).await.unwrap().is_empty(), "{on:?}");
    }
}

#[tokio::test]
async fn ids_of_two_types_are_one_row_each() {
    let (one, other) = (Uuid::nil(), Uuid::max());
    let days = ["1000-01-01", "2024-02-29"].map(|day| day.parse::<NaiveDate>().unwrap());
    for on in STORES {
        let scene = Scene::new::<Paired>(on, Over::Redis).await;
        let all: Vec<_> = [(one, days[0]), (one, days[1]), (other, days[0])]
            .map(|(tenant, day)| Paired { tenant, day, name: format!("{tenant} {day}") })
            .into();
        for strategy in [Strategy::WriteThrough, Strategy::WriteBehind] {
            let repo = scene.repo::<Paired>(strategy, Format::Json).await;
            let _ = repo.save_many(&all).await.unwrap();
            repo.flush().await.unwrap();
            for each in &all {
                assert!(repo.evict((each.tenant, each.day)).await.unwrap());
            }
            let ids = all.iter().map(|each| (each.tenant, each.day));
            let found = repo.get_many(ids).await.unwrap();
            assert_eq!(found, all.iter().cloned().map(Some).collect::<Vec<_>>(), "{on:?}");
            assert_eq!(repo.get((other, days[1])).await.unwrap(), None, "{on:?}");
        }
    }
}
