//! What is particular to PostgreSQL.

use super::{postgres_database::Database, *};

#[tokio::test]
async fn a_table_of_ones_own_may_have_narrower_types_and_more_columns() {
    let own = schema(
        "own",
        [
            id_column("code", Kind::Text),
            id_column("part", Kind::I32),
            column("count", Kind::I64),
            column("tiny", Kind::I16),
            column("share", Kind::F64),
            column("data", Kind::Json),
            column("plain", Kind::Json),
        ],
    );
    let mut database = Database::with(
        "CREATE TABLE own (code varchar(8), part int4, count int4 NOT NULL, tiny int2, share float8,
            data json, plain text, extra text DEFAULT 'kept', UNIQUE (part, code))",
    )
    .await;
    assert!(database.store.describe(&own).await.unwrap().missing.is_empty());
    let id = conformance::id(vec![text("a"), Value::I64(1)]);
    let put = |count, code: &str| {
        let json = Value::Json(Cow::Borrowed(JSON));
        let values = [Value::I64(1), Value::I64(count), Value::I64(3), Value::F64(0.5)];
        let values = [text(code)].into_iter().chain(values).chain([json.clone(), json]).collect();
        let id = conformance::id(vec![text(code), Value::I64(1)]);
        [Change::Put { id, record: record(values) }]
    };
    let apply = async |changes: &[Change]| {
        let batch = Batch::new(changes, Instant::now() + Duration::from_secs(20));
        database.store.apply(&own, batch).await
    };
    apply(&put(1, "a")).await.unwrap();
    // Before anything is sent, so that write-behind journals nothing that cannot be drained.
    for (count, code) in [(i64::MAX, "b"), (1, "more than 8"), (i64::from(i32::MIN) - 1, "b")] {
        let refused = database.store.check(&own, &put(count, code)[0]);
        assert_eq!(class(&refused), Class::Record, "{count} {code}");
    }
    assert_eq!(class(&apply(&put(i64::MAX, "b")).await), Class::Record, "out of int4's range");
    assert_eq!(
        class(&apply(&put(1, "more than 8")).await),
        Class::Record,
        "longer than varchar(8)"
    );
    let rows = database.store.load(&own, Query::Ids(std::slice::from_ref(&id))).await;
    let rows = records(rows.unwrap());
    assert_eq!(rows[0].get(2), Some(&Value::I64(1)));
    assert_eq!(rows[0].get(4), Some(&Value::F64(0.5)));
    let json = Value::Json(Cow::Borrowed(JSON));
    assert_eq!((rows[0].get(5), rows[0].get(6)), (Some(&json), Some(&json)), "json and text");
    apply(&[Change::Delete { id }]).await.unwrap();
    apply(&put(2, "a")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM own WHERE extra = 'kept'").await, 1);
}

/// What `jsonb` would say in other words.
const JSON: &str = r#"{"b":1e16,"a":-0.0, "c":1.50}"#;

#[tokio::test]
async fn an_id_that_the_database_would_count_is_the_entitys_own() {
    for always in ["ALWAYS", "BY DEFAULT"] {
        let ddl = format!(
            "DROP TABLE notes; CREATE TABLE notes (id bigint GENERATED {always} AS IDENTITY \
             PRIMARY KEY, body text, rank int)"
        );
        let database = Database::with(&ddl).await;
        assert!(database.store.describe(&NOTES).await.unwrap().missing.is_empty());
        for body in ["first", "second"] {
            write(&database.store, &[note(7, body)]).await.unwrap();
            assert_eq!(read(&database.store, 7).await.unwrap().0, text(body));
        }
    }
}

#[tokio::test]
async fn columns_that_are_not_mapped_survive_and_a_table_may_stand_in_another_schema() {
    let mut database = Database::with("CREATE SCHEMA IF NOT EXISTS \"else.where\"").await;
    let elsewhere = unique("stores_elsewhere");
    database.sql(&format!("CREATE SCHEMA {elsewhere}")).await;
    let schema = NOTES.with_table(format!("{elsewhere}.my notes"));
    database.store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
    let table = format!("{elsewhere}.\"my notes\"");
    let insert = "INSERT INTO {} (id, extra) VALUES (1, 7)".replace("{}", &table);
    database.sql(&format!("ALTER TABLE {table} ADD extra int8; {insert}")).await;
    let changes = [note(1, "new")];
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
    database.store.apply(&schema, batch).await.unwrap();
    assert_eq!(database.number(&format!("SELECT extra FROM {table} WHERE body = 'new'")).await, 7);
    database.sql(&format!("DROP SCHEMA {elsewhere} CASCADE")).await;
}

#[tokio::test]
async fn triggers_of_every_kind_show_in_the_rows_that_are_returned() {
    let database = Database::with(
        "ALTER TABLE notes ADD late int4;
         CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.body = upper(NEW.body); RETURN NEW; END $$;
         CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE notes SET rank = rank + 1 WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER a BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION before();
         CREATE TRIGGER b AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION after();
         CREATE CONSTRAINT TRIGGER c AFTER INSERT ON notes INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION after()",
    )
    .await;
    let changes = [note(1, "loud")];
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20)).returning(true);
    let applied = database.store.apply(&NOTES, batch).await.unwrap();
    let [Applied::Put(Some(row))] = applied.as_slice() else { panic!("{applied:?}") };
    assert_eq!((row.get(1), row.get(2)), (Some(&text("LOUD")), Some(&Value::I64(2))));
    assert_eq!(read(&database.store, 1).await, Some((text("LOUD"), Value::I64(2))));
}

#[tokio::test]
async fn errors_fall_into_the_classes_that_decide_what_follows() {
    let mut database = Database::with(
        "ALTER TABLE notes ADD CONSTRAINT one_body UNIQUE (body);
         ALTER TABLE notes ADD needed int4 DEFAULT 1 NOT NULL",
    )
    .await;
    let store = database.store.clone();
    write(&store, &[note(1, "taken")]).await.unwrap();
    let unique = write(&store, &[note(3, "free"), note(2, "taken")]).await;
    assert_eq!(class(&unique), Class::Record, "{unique:?}");
    assert!(unique.unwrap_err().to_string().contains("one_body"));
    assert_eq!(read(&store, 3).await, None, "a batch is written as a whole or not at all");

    database.sql("ALTER TABLE notes ALTER needed DROP DEFAULT").await;
    let null = write(&store, &[note(2, "free")]).await;
    assert_eq!(class(&null), Class::Systemic, "23502 of a column that no record has: {null:?}");

    database
        .sql(
            "ALTER TABLE notes DROP needed; ALTER TABLE notes DROP CONSTRAINT one_body;
              ALTER TABLE notes ADD UNIQUE (body) DEFERRABLE INITIALLY DEFERRED",
        )
        .await;
    let deferred = write(&store, &[note(2, "taken")]).await;
    assert_eq!(class(&deferred), Class::Record, "refused at COMMIT: {deferred:?}");
    assert_eq!(read(&store, 2).await, None);

    database.sql("ALTER TABLE notes RENAME TO others").await;
    let missing = write(&store, &[note(1, "x")]).await;
    assert_eq!(class(&missing), Class::Systemic, "42P01: {missing:?}");
    let missing = store.load(&NOTES, Query::Ids(&[note_id(1)])).await;
    assert_eq!(class(&missing), Class::Systemic, "42P01: {missing:?}");
}

#[tokio::test]
async fn a_value_that_postgres_cannot_hold_is_refused_by_name_and_never_found() {
    let names = schema(
        "names",
        [
            id_column("the_id", Kind::Text),
            column("the_count", Kind::U64),
            column("the_data", Kind::Json),
        ],
    );
    let database = Database::new().await;
    database.store.ledger(Ledger::Install { schema: &names }).await.unwrap();
    let nul_json = Value::Json(Cow::Borrowed(r#"["\\\u0000"]"#));
    for (id, count, data, words) in [
        ("a\0", Value::Null, Value::Null, ["`the_id`", "NUL"]),
        (&"x".repeat(2601), Value::Null, Value::Null, ["`the_id`", "2600"]),
        ("a", Value::U64(1 << 63), Value::Null, ["`the_count`", "9223372036854775807"]),
        ("a", Value::Null, nul_json, ["`the_data`", "\\u0000"]),
    ] {
        let id = conformance::id(vec![text(id)]);
        let record = record(vec![id.values()[0].clone(), count, data]);
        let changes = [Change::Put { id: id.clone(), record }];
        let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
        let refused = database.store.apply(&names, batch).await;
        assert_eq!(class(&refused), Class::Record);
        let message = refused.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");

        assert!(
            database
                .store
                .load(&names, Query::Ids(std::slice::from_ref(&id)))
                .await
                .unwrap()
                .is_empty()
        );
        let delete = [Change::Delete { id }];
        let batch = Batch::new(&delete, Instant::now() + Duration::from_secs(20));
        database.store.apply(&names, batch).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_may_have_more_columns_than_a_function_takes_arguments() {
    let names = (1..150).map(|i| &*format!("c{i}").leak());
    let columns = names.map(|name| column(name, Kind::I64));
    let wide = schema("wide", std::iter::once(id_column("id", Kind::I64)).chain(columns));
    let database = Database::new().await;
    database.store.ledger(Ledger::Install { schema: &wide }).await.unwrap();
    let record = record((0..150).map(Value::I64).collect());
    let changes = [Change::Put { id: note_id(0), record: record.clone() }];
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
    database.store.apply(&wide, batch).await.unwrap();
    let rows = database.store.load(&wide, Query::Ids(&[note_id(0)])).await.unwrap();
    assert_eq!(records(rows), [record]);
}

#[tokio::test]
async fn what_is_missing_is_said_in_sentences() {
    let mut database = Database::new().await;
    let all = database.missing().await;
    for table in
        ["`notes`", "`cached_repo_meta`", "`cached_repo_offsets`", "`cached_repo_dead_letters`"]
    {
        assert!(all.contains(&format!("The table {table} does not exist")), "{all}");
    }
    let ddl = database.store.describe(&NOTES).await.unwrap().ddl;
    database.sql(&ddl).await;
    database.sql(&ddl).await;
    assert_eq!(database.missing().await, "");
    database.sql("ALTER TABLE cached_repo_offsets DROP settled").await;
    assert!(database.missing().await.contains("`cached_repo_offsets` has no column `settled`"));
    database.sql("ALTER TABLE cached_repo_offsets ADD settled int8 NOT NULL DEFAULT 0").await;
    database.sql("DROP TABLE notes; CREATE TABLE notes (id int8, body text)").await;
    assert!(database.missing().await.contains("no column `rank`: ALTER TABLE"));
    database
        .sql(
            "ALTER TABLE notes ADD rank int4; CREATE INDEX ON notes (id);
              CREATE UNIQUE INDEX ON notes (id) WHERE rank > 0;
              CREATE UNIQUE INDEX ON notes (id, body);
              ALTER TABLE notes ADD UNIQUE (id) DEFERRABLE",
        )
        .await;
    assert!(database.missing().await.contains("unique index on exactly (id)"));
    database.sql("CREATE UNIQUE INDEX ON notes (id) INCLUDE (body)").await;
    assert_eq!(database.missing().await, "");
}

#[tokio::test]
async fn a_role_that_may_not_create_tables_can_install_where_they_are() {
    let mut database = Database::with("").await;
    let (role, name) = (unique("role"), database.name.clone());
    database
        .sql(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {name} TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}"
        ))
        .await;
    let url = database.url.replace("//postgres@", &format!("//{role}@"));
    let store = store::connect(&url).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    write(&store, &[note(1, "mine")]).await.unwrap();
    let refused = store.ledger(Ledger::Install { schema: &NOTES.with_table("new".into()) }).await;
    assert_eq!(class(&refused), Class::Systemic, "{refused:?}");
    drop(store);
    database.kill_all().await;
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
