//! What is particular to MySQL and MariaDB.

use sqlx::{mysql::MySqlPoolOptions, raw_sql};

use super::{mysql_database::Database, *};

async fn apply(
    database: &Database,
    schema: &Schema,
    changes: &[Change],
) -> Result<Vec<Applied>, StoreError> {
    let batch = Batch::new(changes, Instant::now() + Duration::from_secs(20)).returning(true);
    database.store.apply(schema, batch).await
}

#[tokio::test]
async fn a_table_of_ones_own_may_have_narrower_types_and_more_columns() {
    let own = schema(
        "own",
        [
            id_column("code", Kind::Text),
            id_column("part", Kind::I32),
            column("count", Kind::I64),
            column("tiny", Kind::I16),
            column("flag", Kind::Bool),
            column("data", Kind::Json),
            column("plain", Kind::Json),
            column("few", Kind::Bytes),
        ],
    );
    let mut database = Database::with(
        "CREATE TABLE own (serial INT AUTO_INCREMENT PRIMARY KEY, part MEDIUMINT UNSIGNED NOT NULL,
            code VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
            count INT UNSIGNED NOT NULL, tiny TINYINT, flag BIT(1), data JSON, plain TEXT,
            few VARBINARY(3), extra VARCHAR(10) DEFAULT 'kept', UNIQUE (part, code))",
    )
    .await;
    let missing = database.store.describe(&own).await.unwrap().missing;
    assert!(missing.is_empty(), "{missing:?}");
    let id = |code: &str| conformance::id(vec![text(code), Value::I64(1)]);
    let put = |code: &str, count, tiny, few: &'static [u8]| {
        let json = Value::Json(Cow::Borrowed(r#"{"b": 1, "a": [1.5, "x"]}"#));
        let values = vec![
            text(code),
            Value::I64(1),
            Value::I64(count),
            Value::I64(tiny),
            Value::Bool(true),
            json.clone(),
            json,
            Value::Bytes(Cow::Borrowed(few)),
        ];
        [Change::Put { id: id(code), record: record(values) }]
    };
    let first = put("a", 4_000_000_000, -3, b"abc");
    for _ in 0..2 {
        let applied = apply(&database, &own, &first).await.unwrap();
        let [Applied::Put(Some(row))] = applied.as_slice() else { panic!("{applied:?}") };
        assert_eq!(row.get(2), Some(&Value::I64(4_000_000_000)));
        assert_eq!(row.get(4), Some(&Value::Bool(true)));
        assert_eq!(row.get(6), first[0].record().unwrap().get(6), "JSON text as it was");
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM own WHERE extra = 'kept'").await, 1);
    // Nothing is cut off or rounded to what fits.
    for (bad, code) in [
        (put("b", -1, 0, b""), "1264"),
        (put("b", 1, 128, b""), "1264"),
        (put("b", 1, 1, b"four"), "1406"),
        (put("more than 8", 1, 1, b""), "11 characters"),
    ] {
        let refused = apply(&database, &own, &bad).await;
        assert_eq!(class(&refused), Class::Record, "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains(code), "{code}");
    }
    apply(&database, &own, &[Change::Delete { id: id("a") }]).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM own").await, 0);
}

#[tokio::test]
async fn names_are_quoted_and_a_table_may_stand_in_another_database() {
    let words = schema(
        "select",
        [
            id_column("key", Kind::Text),
            column("partition `x`", Kind::I64),
            column("a?b", Kind::Text),
        ],
    );
    let mut database = Database::with("").await;
    let elsewhere = unique("stores_else");
    database.sql(&format!("CREATE DATABASE {elsewhere}")).await;
    for table in ["group by".to_owned(), format!("{elsewhere}.order")] {
        let schema = words.clone().with_table(table);
        for _ in 0..2 {
            database.store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        }
        assert!(database.store.describe(&schema).await.unwrap().missing.is_empty());
        let id = conformance::id(vec![text("from")]);
        let row = record(vec![text("from"), Value::I64(1), text("?")]);
        let put = [Change::Put { id: id.clone(), record: row.clone() }];
        for _ in 0..2 {
            apply(&database, &schema, &put).await.unwrap();
        }
        let query = Query::Ids(std::slice::from_ref(&id));
        assert_eq!(records(database.store.load(&schema, query).await.unwrap()), [row]);
    }
    assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {elsewhere}.`order`")).await, 1);
    database.sql(&format!("DROP DATABASE {elsewhere}")).await;
}

#[tokio::test]
async fn what_triggers_and_generated_columns_make_of_a_row_is_returned() {
    let mut seen = NOTES_COLUMNS.to_vec();
    seen.push(column("loud", Kind::Text));
    let seen = schema("notes", seen);
    let mut database = Database::with(
        "ALTER TABLE notes ADD loud VARCHAR(20) GENERATED ALWAYS AS (UPPER(body)) STORED,
            ADD half INT GENERATED ALWAYS AS (`rank` / 2) VIRTUAL UNIQUE;
         CREATE TRIGGER counts_up BEFORE UPDATE ON notes FOR EACH ROW SET NEW.`rank` = OLD.`rank` + 1;
         CREATE TRIGGER trims BEFORE INSERT ON notes FOR EACH ROW SET NEW.body = TRIM(NEW.body)",
    )
    .await;
    for rank in [0, 1] {
        let applied = apply(&database, &NOTES, &[note(1, " quiet ")]).await.unwrap();
        let [Applied::Put(Some(row))] = applied.as_slice() else { panic!("{applied:?}") };
        assert_eq!((row.get(1), row.get(2)), (Some(&text("quiet")), Some(&Value::I64(rank))));
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM notes WHERE loud = 'QUIET'").await, 1);
    // An entity that maps a column that the database computes cannot be written, and says so.
    let row = record(vec![Value::I64(2), text("x"), Value::I64(7), text("X")]);
    let missing = database.missing(&seen).await;
    assert!(missing.contains("`loud` of the table `notes` is computed"), "{missing}");
    let refused = apply(&database, &seen, &[Change::Put { id: note_id(2), record: row }]).await;
    assert_eq!(class(&refused), Class::Systemic, "{refused:?}");
}

#[tokio::test]
async fn a_row_of_another_id_is_never_overwritten() {
    let pairs = schema(
        "pairs",
        [id_column("a", Kind::I64), id_column("b", Kind::Text), column("mail", Kind::I64)],
    );
    let mut database = Database::with(
        "ALTER TABLE notes MODIFY body VARCHAR(100), ADD UNIQUE one_body (body);
         CREATE TABLE pairs (mail BIGINT UNIQUE, a BIGINT NOT NULL,
            b VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, UNIQUE (a, b))",
    )
    .await;
    write(&database.store, &[note(1, "taken"), note(2, "free")]).await.unwrap();
    for clash in
        [vec![note(3, "taken")], vec![note(4, "x"), note(3, "taken")], vec![note(2, "taken")]]
    {
        let clash = write(&database.store, &clash).await;
        assert_eq!(class(&clash), Class::Record, "{clash:?}");
        let message = clash.unwrap_err().to_string();
        assert!(message.contains("unique index") || message.contains("one_body"), "{message}");
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM notes").await, 2);
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("taken"));

    let pair = |a: i64, b: &str, mail: i64| {
        let id = conformance::id(vec![Value::I64(a), text(b)]);
        let record = record(vec![Value::I64(a), text(b), Value::I64(mail)]);
        Change::Put { id, record }
    };
    apply(&database, &pairs, &[pair(i64::MIN, "x", 1), pair(1, "y", 2)]).await.unwrap();
    for clash in [pair(i64::MIN, "y", 1), pair(1, "x", 2), pair(1, "y", 1)] {
        let clash = apply(&database, &pairs, &[clash]).await;
        assert_eq!(class(&clash), Class::Record, "{clash:?}");
    }
    let moved = [pair(i64::MIN, "x", 3), pair(1, "y", 1)];
    apply(&database, &pairs, &moved).await.unwrap();
    assert_eq!(database.number("SELECT SUM(mail) FROM pairs WHERE a = 1").await, 1);
}

#[tokio::test]
async fn statements_stay_below_the_servers_limits() {
    let names = (1..300).map(|i| &*format!("c{i}").leak());
    let columns = names.map(|name| column(name, Kind::I64));
    let wide = schema("wide", std::iter::once(id_column("id", Kind::I64)).chain(columns));
    let mut database = Database::with("").await;
    database.store.ledger(Ledger::Install { schema: &wide }).await.unwrap();
    // 90,000 parameters.
    let row = |id: i64| record(std::iter::once(id).chain(1..300).map(Value::I64).collect());
    let puts: Vec<_> =
        (0..300).map(|id| Change::Put { id: note_id(id), record: row(id) }).collect();
    let batch = Batch::new(&puts, Instant::now() + Duration::from_secs(20));
    database.store.apply(&wide, batch).await.unwrap();
    let rows = database.store.load(&wide, Query::Ids(&[note_id(299)])).await.unwrap();
    assert_eq!(records(rows), [row(299)]);

    let max = database.number("SELECT @@max_allowed_packet").await as usize;
    let body = "x".repeat(max / 8);
    let many: Vec<_> = (0..20).map(|id| note(id, &body)).collect();
    write(&database.store, &many).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM notes").await, 20);
    // Sent, it would cost the connection.
    let big = note(20, &"x".repeat(max));
    assert_eq!(class(&write(&database.store, &[note(21, "a"), big.clone()]).await), Class::Record);
    assert_eq!(database.store.check(&NOTES, &big).unwrap_err().class(), Class::Record);
    assert_eq!(database.number("SELECT COUNT(*) FROM notes").await, 20);
}

#[tokio::test]
async fn a_pool_of_ones_own_is_left_as_it_was() {
    let database = Database::with("").await;
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async {
                let sql = "SET SESSION sql_mode = 'ANSI_QUOTES', SESSION lock_wait_timeout = 78, \
                    SESSION innodb_lock_wait_timeout = 77, SESSION completion_type = 'CHAIN'; \
                    SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE";
                raw_sql(sql).execute(&mut *connection).await.map(drop)
            })
        })
        .connect(&database.url)
        .await
        .unwrap();
    let store = store::mysql(pool.clone());
    let long = "ALTER TABLE notes MODIFY body VARCHAR(3)";
    raw_sql(long).execute(&pool).await.unwrap();
    write(&store, &[note(0, "abc")]).await.unwrap();
    let cut = write(&store, &[note(1, "abcd")]).await;
    assert_eq!(class(&cut), Class::Record, "not strict by itself: {cut:?}");
    let left: String = sqlx::query_scalar(
        "SELECT CONCAT_WS(' ', @@sql_mode, @@innodb_lock_wait_timeout, @@lock_wait_timeout, \
         @@max_statement_time, @@idle_transaction_timeout, @@in_transaction, @@tx_isolation)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, "ANSI_QUOTES 77 78 0.000000 0 0 SERIALIZABLE");
    assert!(read(&store, 0).await.is_some(), "an id of 0");
    raw_sql("SET SESSION autocommit = 0").execute(&pool).await.unwrap();
    let missing = store.describe(&NOTES).await.unwrap().missing.join(" ");
    assert!(missing.contains("autocommit"), "{missing}");
}
