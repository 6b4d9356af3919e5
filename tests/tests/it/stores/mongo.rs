//! What is particular to MongoDB.

use mongodb::{
    Client,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use tests::{isolate, servers};

use super::*;

/// A database of its own on the replica set under test, with the library's collections.
pub(super) struct Mongo {
    pub(super) store: SharedStore,
    /// For what others do at the same time.
    pub(super) database: mongodb::Database,
    /// The name of the database, and of the store's connections.
    pub(super) name: String,
}

impl Mongo {
    pub(super) async fn new() -> Self {
        Self::on(&servers::mongodb_url()).await
    }

    async fn on(server: &str) -> Self {
        let name = isolate::unique("stores");
        let url = servers::mongodb_database(server, &name);
        let client =
            Client::with_uri_str(&url.replace("appName=", "appName=other_")).await.unwrap();
        let store = store::connect(&url).await.unwrap();
        Self { store, database: client.database(&name), name }
    }

    pub(super) fn url(&self) -> String {
        servers::mongodb_database(&servers::mongodb_url(), &self.name)
    }

    pub(super) async fn admin(&self, command: Document) -> Document {
        self.database.client().database("admin").run_command(command).await.unwrap()
    }

    /// With the collections of [`NOTES`].
    pub(super) async fn installed() -> Self {
        let mongo = Self::new().await;
        mongo.install(&NOTES).await;
        mongo
    }

    pub(super) async fn install(&self, schema: &Schema) {
        self.store.ledger(Ledger::Install { schema }).await.unwrap();
    }

    pub(super) fn documents(&self, collection: &str) -> mongodb::Collection<Document> {
        self.database.collection(collection)
    }

    pub(super) async fn found(&self, collection: &str, filter: Document) -> Option<Document> {
        self.documents(collection).find_one(filter).await.unwrap()
    }

    pub(super) async fn put(
        &self,
        schema: &Schema,
        record: Record<'static>,
    ) -> Result<(), StoreError> {
        let ids = schema.id_columns().map(|(index, _)| record.get(index).cloned().unwrap());
        let id = conformance::id(ids.collect());
        let changes = [Change::Put { id, record }];
        let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
        self.store.apply(schema, batch).await.map(drop)
    }

    pub(super) async fn load(
        &self,
        schema: &Schema,
        id: Vec<Value<'static>>,
    ) -> Option<Record<'static>> {
        let ids = [conformance::id(id)];
        records(self.store.load(schema, Query::Ids(&ids)).await.unwrap()).pop()
    }

    pub(super) async fn missing(&self, schema: &Schema) -> String {
        self.store.describe(schema).await.unwrap().missing.join("\n")
    }
}

impl Drop for Mongo {
    fn drop(&mut self) {
        let database = self.database.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A run leaves hundreds of databases else. One that is left does no harm.
            runtime.spawn(async move { database.drop().await });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_keeps_the_contract() {
    let mongo = Mongo::new().await;
    conformance::run(&mongo.store, "contract").await;
    conformance::run(&mongo.store, "contract").await;
}

#[tokio::test]
async fn the_id_is_the_field_that_every_document_has() {
    let mongo = Mongo::new().await;
    let names = |kind| schema("ids", [id_column("id", kind), column("name", Kind::Text)]);
    let (oid, uuid) = ("0123456789abcdef01234567", "67e55044-10b1-426f-9247-bb680e5fe0c8");
    mongo.install(&names(Kind::Text)).await;
    for (kind, id, held) in [
        (Kind::Text, text("plain"), Bson::from("plain")),
        (Kind::Text, text(oid), ObjectId::parse_str(oid).unwrap().into()),
        (Kind::Text, text(uuid), mongodb::bson::Uuid::parse_str(uuid).unwrap().into()),
        (Kind::I64, Value::I64(1 << 40), Bson::Int64(1 << 40)),
        (Kind::I32, Value::I64(7), Bson::Int32(7)),
        (Kind::Bool, Value::Bool(true), Bson::Boolean(true)),
    ] {
        let schema = names(kind);
        mongo.put(&schema, record(vec![id.clone(), text("new")])).await.unwrap();
        let found = mongo.found("ids", doc! { "_id": held.clone() }).await.unwrap();
        assert_eq!(found, doc! { "_id": held, "name": "new" }, "and no second field for the id");
        let read = mongo.load(&schema, vec![id.clone()]).await.unwrap();
        assert_eq!(read, record(vec![id, text("new")]));
    }
    // Somebody else's document.
    let other = ObjectId::new();
    mongo.documents("ids").insert_one(doc! { "_id": other, "name": "theirs" }).await.unwrap();
    let read = mongo.load(&names(Kind::Text), vec![text(&other.to_hex())]).await.unwrap();
    assert_eq!(read.get(1), Some(&text("theirs")));
}

#[tokio::test]
async fn an_id_of_several_columns_is_a_document_of_them() {
    let mongo = Mongo::new().await;
    let pairs = schema(
        "pairs",
        [id_column("b", Kind::I64), id_column("a", Kind::Text), column("c", Kind::Text)],
    );
    mongo.install(&pairs).await;
    let whole = record(vec![Value::I64(1), text("x"), text("new")]);
    mongo.put(&pairs, whole.clone()).await.unwrap();
    let found = mongo.found("pairs", doc! {}).await.unwrap();
    let id = doc! { "b": 1_i64, "a": "x" };
    assert!(found.get_document("_id").unwrap().iter().eq(id.iter()), "in the schema's order");
    assert_eq!(found, doc! { "_id": id, "c": "new" });
    assert_eq!(mongo.load(&pairs, vec![Value::I64(1), text("x")]).await, Some(whole));
}

#[tokio::test]
async fn an_id_whose_column_is_named_is_that_field_and_needs_a_unique_index() {
    let mongo = Mongo::new().await;
    let code = ColumnSpec::new("code", "the_code", &[], Kind::Text, false, true);
    let coded = schema("coded", [code, column("name", Kind::Text)]);
    mongo.documents("coded").insert_one(doc! { "the_code": "a", "extra": 1 }).await.unwrap();
    assert!(mongo.missing(&coded).await.contains("unique index on exactly (the_code)"));
    mongo.install(&coded).await;
    assert_eq!(mongo.missing(&coded).await, "");
    for id in ["a", "b"] {
        mongo.put(&coded, record(vec![text(id), text("new")])).await.unwrap();
        let read = mongo.load(&coded, vec![text(id)]).await.unwrap();
        assert_eq!(read, record(vec![text(id), text("new")]));
        let found = mongo.found("coded", doc! { "the_code": id }).await.unwrap();
        assert!(found.get_object_id("_id").is_ok(), "MongoDB's own id: {found}");
    }
    assert_eq!(mongo.documents("coded").count_documents(doc! {}).await.unwrap(), 2);
    assert!(mongo.found("coded", doc! { "the_code": "a", "extra": 1 }).await.is_some());
}

#[tokio::test]
async fn ids_that_are_texts_of_another_form_are_said_and_may_stay() {
    let mongo = Mongo::new().await;
    let native = schema("texts", [id_column("id", Kind::Text), column("name", Kind::Text)]);
    let id = ColumnSpec::new("id", "_id", &[], Kind::Text, false, true);
    let as_it_is = schema("texts", [id, column("name", Kind::Text)]);
    mongo.install(&native).await;
    let oid = "0123456789abcdef01234567";
    mongo.documents("texts").insert_one(doc! { "_id": oid, "name": "old" }).await.unwrap();
    assert!(mongo.missing(&native).await.contains("column = \"_id\""));
    assert_eq!(mongo.missing(&as_it_is).await, "");
    mongo.put(&as_it_is, record(vec![text(oid), text("new")])).await.unwrap();
    let found = mongo.found("texts", doc! {}).await.unwrap();
    assert_eq!(found, doc! { "_id": oid, "name": "new" });
}

#[tokio::test]
async fn fields_that_are_not_mapped_survive_and_none_is_an_absent_field() {
    let mongo = Mongo::installed().await;
    let theirs = doc! { "_id": 1_i64, "body": "old", "rank": 7, "tags": ["x"], "more": { "a": 1 } };
    mongo.documents("notes").insert_one(theirs).await.unwrap();
    let nothing = record(vec![Value::I64(1), Value::Null, Value::I64(8)]);
    mongo.put(&NOTES, nothing.clone()).await.unwrap();
    let found = mongo.found("notes", doc! {}).await.unwrap();
    assert_eq!(found, doc! { "_id": 1_i64, "rank": 8, "tags": ["x"], "more": { "a": 1 } });
    let null = doc! { "$set": { "body": Bson::Null } };
    mongo.documents("notes").update_one(doc! {}, null).await.unwrap();
    assert_eq!(mongo.load(&NOTES, vec![Value::I64(1)]).await, Some(nothing), "null is none too");
}

#[tokio::test]
async fn json_columns_are_nested_values_with_dates_and_decimals_of_their_own() {
    let mongo = Mongo::new().await;
    let schema = schema("nested", [id_column("id", Kind::I64), column("data", Kind::Json)]);
    mongo.install(&schema).await;
    let said = r#"{"at":{"$date":{"$numberLong":"1767323045678"}},"n":[1,2.5,null],"price":{"$numberDecimal":"1.10"}}"#;
    let json = |json: &'static str| Value::Json(Cow::Borrowed(json));
    mongo.put(&schema, record(vec![Value::I64(1), json(said)])).await.unwrap();
    let found = mongo.found("nested", doc! {}).await.unwrap();
    let data = found.get_document("data").unwrap();
    assert_eq!(data.get_datetime("at").unwrap().timestamp_millis(), 1_767_323_045_678);
    assert!(
        matches!(data.get("price"), Some(Bson::Decimal128(price)) if price.to_string() == "1.10")
    );
    assert_eq!(data.get_array("n").unwrap()[0], Bson::Int32(1), "whole numbers are integers");
    let read = mongo.load(&schema, vec![Value::I64(1)]).await.unwrap();
    let Some(Value::Json(read)) = read.get(1) else { panic!("{read:?}") };
    let read: serde_json::Value = serde_json::from_str(read).unwrap();
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!(read, said, "what was acknowledged comes back equal");

    // Another value, or the same in other words; and a process whose stack is at its end.
    let deep = format!("{}1{}", "[".repeat(51), "]".repeat(51));
    for bad in [
        r#"{"a.b":1}"#,
        r#"{"$set":1}"#,
        "[18446744073709551615]",
        r#"{"n":{"$numberLong":"5"}}"#,
        r#"{"$date":"2026-01-02T03:04:05+02:00"}"#,
        r#"{"$date":"2026-01-02T03:04:05Z"}"#,
        r#"{"$numberDouble":"NaN"}"#,
        deep.leak(),
    ] {
        let put = Change::Put { id: note_id(2), record: record(vec![Value::I64(2), json(bad)]) };
        let checked = mongo.store.check(&schema, &put);
        assert_eq!(class(&checked), Class::Record, "{bad}: write-behind journals nothing");
        let refused = mongo.put(&schema, record(vec![Value::I64(2), json(bad)])).await;
        assert_eq!(class(&refused), Class::Record, "{bad}");
        assert!(refused.unwrap_err().to_string().contains("`data`"));
    }
}

#[tokio::test]
async fn a_document_of_another_type_is_a_clear_error() {
    let mongo = Mongo::installed().await;
    for (body, rank, words) in [
        (Bson::from(5), Bson::from(1), ["`body`", "Int32"]),
        (Bson::from("x"), Bson::from("secret"), ["`rank`", "String"]),
        (Bson::from("x"), Bson::from(1.5), ["`rank`", "Double"]),
    ] {
        let bad = doc! { "_id": 1_i64, "body": body, "rank": rank };
        let notes = mongo.documents("notes");
        notes.replace_one(doc! { "_id": 1_i64 }, bad).upsert(true).await.unwrap();
        let mut rows = mongo.store.load(&NOTES, Query::Ids(&[note_id(1)])).await.unwrap();
        let error = rows.pop().unwrap().unwrap_err();
        assert_eq!(error.id(), Some(&note_id(1)), "{error}");
        let message = error.to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(message.contains("`notes`") && !message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn a_record_that_no_document_holds_is_refused_before_it_is_sent() {
    let mongo = Mongo::installed().await;
    let big = "x".repeat(16 * 1024 * 1024);
    let refused = mongo.store.check(&NOTES, &note(1, &big)).unwrap_err();
    assert_eq!(refused.class(), Class::Record);
    assert!(refused.to_string().contains("16 MiB"), "{refused}");
    // What fits is written, also when several make more than one message.
    let big = "x".repeat(15 * 1024 * 1024);
    write(&mongo.store, &[note(1, &big), note(2, &big), note(3, "small")]).await.unwrap();
    assert_eq!(mongo.documents("notes").count_documents(doc! {}).await.unwrap(), 3);
}

#[tokio::test]
async fn what_is_missing_is_said_in_sentences() {
    let mongo = Mongo::new().await;
    let all = mongo.missing(&NOTES).await;
    for name in ["notes", "cached_repo_meta", "cached_repo_offsets", "cached_repo_fences"] {
        assert!(all.contains(&format!("The collection `{name}` does not exist")), "{all}");
    }
    let script = mongo.store.describe(&NOTES).await.unwrap().ddl;
    assert!(script.contains(r#"db.createCollection("notes")"#), "{script}");
    mongo.install(&NOTES).await;
    assert_eq!(mongo.missing(&NOTES).await, "");
    mongo.documents("cached_repo_dead_letters").drop_indexes().await.unwrap();
    assert!(mongo.missing(&NOTES).await.contains("`cached_repo_dead_letters` has no index"));
    mongo.install(&NOTES).await;

    mongo.documents("notes").drop().await.unwrap();
    let folding = doc! { "create": "notes", "collation": { "locale": "en", "strength": 2 } };
    mongo.database.run_command(folding).await.unwrap();
    assert!(mongo.missing(&NOTES).await.contains("different ids for equal"));
    mongo.documents("notes").drop().await.unwrap();
    let view = doc! { "create": "notes", "viewOn": "cached_repo_meta", "pipeline": [] };
    mongo.database.run_command(view).await.unwrap();
    assert!(mongo.missing(&NOTES).await.contains("ordinary collection"));

    for bad in [NOTES.with_table("system.users".into()), NOTES.with_table("a$b".into())] {
        let refused = mongo.store.describe(&bad).await.unwrap_err();
        assert_eq!(refused.class(), Class::Systemic, "{refused}");
    }
    let dotted = ColumnSpec::new("name", "a.b", &[], Kind::Text, true, false);
    let dotted = schema("dotted", [id_column("id", Kind::I64), dotted]);
    assert!(mongo.store.describe(&dotted).await.unwrap_err().to_string().contains("`a.b`"));
}
