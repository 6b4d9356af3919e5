//! What documents hold of UUIDs, decimals, times and ObjectIds.

use mongodb::bson::{Binary, Bson, DateTime, Uuid, doc, oid::ObjectId, spec::BinarySubtype};

use super::{mongo::Mongo, *};

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
const OID: &str = "0123456789abcdef01234567";

/// Each kind, a value, what a document holds, and a text that another program may have put there.
fn forms() -> [(Kind, &'static str, Bson, &'static str); 7] {
    let uuid = Bson::from(Uuid::parse_str(UUID).unwrap());
    let date = Bson::from(DateTime::from_millis(1_767_323_045_600));
    let text = |text: &str| Bson::from(text);
    [
        (Kind::Uuid, UUID, uuid, "67E5504410B1426F9247BB680E5FE0C8"),
        (Kind::Decimal, "-1.5", Bson::Decimal128("-1.5".parse().unwrap()), "-1.50"),
        (Kind::Timestamp, "2026-01-02T03:04:05.6Z", date, "2026-01-02T04:34:05.600+01:30"),
        (Kind::ObjectId, OID, ObjectId::parse_str(OID).unwrap().into(), OID),
        (
            Kind::DateTime,
            "2026-01-02T03:04:05.6",
            text("2026-01-02T03:04:05.6"),
            "2026-01-02 03:04:05.60",
        ),
        (Kind::Date, "2026-01-02", text("2026-01-02"), "2026-01-02"),
        (Kind::Time, "03:04:05", text("03:04:05"), "03:04:05.000"),
    ]
}

#[tokio::test]
async fn documents_hold_what_bson_has_types_for_and_texts_are_read_as_well() {
    let mongo = Mongo::new().await;
    for (kind, value, held, theirs) in forms() {
        let typed = schema("typed", [id_column("id", kind), column("value", kind)]);
        mongo.install(&typed).await;
        let whole = record(vec![text(value), text(value)]);
        mongo.put(&typed, whole.clone()).await.unwrap();
        let found = mongo.found("typed", doc! {}).await.unwrap();
        assert_eq!(found, doc! { "_id": held.clone(), "value": held.clone() }, "{kind:?}");
        let change = doc! { "$set": { "value": theirs } };
        mongo.documents("typed").update_one(doc! {}, change).await.unwrap();
        let read = mongo.load(&typed, vec![text(value)]).await;
        assert_eq!(read, Some(whole.clone()), "{kind:?} as the text {theirs}");
        mongo.put(&typed, whole).await.unwrap();
        let found = mongo.found("typed", doc! {}).await.unwrap();
        assert_eq!(found.get("value"), Some(&held), "{kind:?}: written as its own type");
        mongo.documents("typed").drop().await.unwrap();
    }
}

#[tokio::test]
async fn parts_of_an_id_are_held_as_what_they_are() {
    let mongo = Mongo::new().await;
    let columns = [id_column("tenant", Kind::Uuid), id_column("day", Kind::Date)];
    let paired = schema("paired", columns.into_iter().chain([column("name", Kind::Text)]));
    mongo.install(&paired).await;
    mongo.put(&paired, record(vec![text(UUID), text("2024-02-29"), text("x")])).await.unwrap();
    let id = doc! { "tenant": Uuid::parse_str(UUID).unwrap(), "day": "2024-02-29" };
    let found = mongo.found("paired", doc! {}).await.unwrap();
    assert_eq!(found, doc! { "_id": id, "name": "x" });
}

/// MongoDB 6.0 does not find several equal ones by one scan of an index, however long it looks.
#[tokio::test]
async fn several_ids_with_decimals_that_no_float_holds_are_found() {
    let mongo = Mongo::new().await;
    let named = ColumnSpec::new("price", "amount", &[], Kind::Decimal, false, true);
    let whole = schema("whole", [id_column("price", Kind::Decimal)]);
    let parts =
        schema("parts", [id_column("tenant", Kind::I32), id_column("price", Kind::Decimal)]);
    let fields = schema("fields", [id_column("tenant", Kind::I32), named]);
    for schema in [whole, parts, fields] {
        mongo.install(&schema).await;
        let ids: Vec<_> = (0..100_i64)
            .map(|n| {
                let price = text(&format!("{}.0000000001", 9_007_199_254_740_993 + 10 * n));
                let parts = [Value::I64(7), price];
                parts[2 - schema.columns().len()..].to_vec()
            })
            .collect();
        for id in &ids {
            mongo.put(&schema, record(id.clone())).await.unwrap();
        }
        let ids: Vec<_> = ids.into_iter().map(conformance::id).collect();
        let found = mongo.store.load(&schema, Query::Ids(&ids)).await.unwrap();
        assert_eq!(found.len(), ids.len(), "{}", schema.table());
    }
}

#[tokio::test]
async fn ids_that_are_texts_of_a_native_kind_are_said() {
    let mongo = Mongo::new().await;
    for (kind, id) in [(Kind::Uuid, UUID), (Kind::ObjectId, OID)] {
        let native = schema("texts", [id_column("id", kind), column("name", Kind::Text)]);
        mongo.install(&native).await;
        assert_eq!(mongo.missing(&native).await, "");
        mongo.documents("texts").insert_one(doc! { "_id": id, "name": "old" }).await.unwrap();
        let missing = mongo.missing(&native).await;
        assert!(missing.contains("let the id be a `String`"), "{missing}");
        mongo.documents("texts").drop().await.unwrap();
    }
}

#[tokio::test]
async fn a_document_of_another_form_is_a_clear_error() {
    let mongo = Mongo::new().await;
    let bytes = Uuid::parse_str(UUID).unwrap().bytes().to_vec();
    let old = Binary { subtype: BinarySubtype::UuidOld, bytes };
    let (far, nan) = (DateTime::from_millis(i64::MAX), "NaN".parse().unwrap());
    for (kind, value, words) in [
        // Its bytes are in an order that depends on who wrote it.
        (Kind::Uuid, Bson::from(old), "not a UUID"),
        (Kind::Timestamp, Bson::from(far), "years 1 to 9999"),
        (Kind::Decimal, Bson::Decimal128(nan), "not a decimal"),
        (Kind::Decimal, Bson::from(1.5), "Double"),
        (Kind::Date, Bson::from(DateTime::from_millis(0)), "DateTime"),
        (Kind::Time, Bson::from("24:00:00"), "time of day"),
    ] {
        let typed = schema("typed", [id_column("id", Kind::I32), column("value", kind)]);
        mongo.install(&typed).await;
        mongo.documents("typed").insert_one(doc! { "_id": 1, "value": value }).await.unwrap();
        let ids = [note_id(1)];
        let mut rows = mongo.store.load(&typed, Query::Ids(&ids)).await.unwrap();
        let error = rows.pop().unwrap().unwrap_err();
        let message = error.to_string();
        assert!(message.contains("`value`") && message.contains(words), "{message}");
        mongo.documents("typed").drop().await.unwrap();
    }
}
