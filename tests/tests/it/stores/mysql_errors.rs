//! Which errors of MySQL and MariaDB are a record's fault, and what is missing before the first write.

use super::{mysql_database::Database, *};

/// Runs DDL, provokes an error, and undoes the DDL.
async fn provoke(
    database: &mut Database,
    ddl: &str,
    changes: &[Change],
    (code, expected): (&str, Class),
    undo: &str,
) {
    database.sql(ddl).await;
    let refused = write(&database.store, changes).await;
    assert_eq!(class(&refused), expected, "{code}: {refused:?}");
    let message = refused.unwrap_err().to_string();
    assert!(message.contains(&format!("(code {code})")), "{code}: {message}");
    database.sql(undo).await;
}

fn without_rank(id: i64) -> Change {
    let record = record(vec![Value::I64(id), text("x"), Value::Null]);
    Change::Put { id: note_id(id), record }
}

#[tokio::test]
async fn errors_of_a_record_are_told_from_errors_of_the_database() {
    let mut database = Database::with("INSERT INTO notes VALUES (1, 'taken', 1)").await;
    let refused = [
        ("1062", "MODIFY body VARCHAR(99), ADD UNIQUE one (body)", "DROP INDEX one", note(1, "b")),
        ("1690", "ADD UNIQUE one (body)", "DROP INDEX one", note(3, "taken")),
        ("1366", "MODIFY body TEXT CHARACTER SET latin1", "MODIFY body LONGTEXT", note(2, "🦀")),
        ("1048", "MODIFY `rank` INT NOT NULL", "MODIFY `rank` INT", without_rank(2)),
        ("4025", "ADD CONSTRAINT few CHECK (body <> 'x')", "DROP CONSTRAINT few", note(2, "x")),
        (
            "1526",
            "PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (9))",
            "REMOVE PARTITIONING",
            note(9, "x"),
        ),
        ("1365", "ADD g DOUBLE AS (1 / `rank`) STORED", "DROP g", note(2, "x")),
    ];
    for (code, ddl, undo, change) in refused {
        let (ddl, undo) = (format!("ALTER TABLE notes {ddl}"), format!("ALTER TABLE notes {undo}"));
        // Of two rows one is in the way of the other.
        let other = if code == "1062" { "INSERT INTO notes VALUES (2, 'b', 1)" } else { "" };
        database.sql(other).await;
        provoke(&mut database, &ddl, &[change], (code, Class::Record), &undo).await;
        database.sql("DELETE FROM notes WHERE id <> 1").await;
    }
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON notes FOR EACH ROW \
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'";
    let told = ("1644", Class::Record);
    provoke(&mut database, trigger, &[note(2, "x")], told, "DROP TRIGGER t").await;

    let parents = "CREATE TABLE parents (id BIGINT PRIMARY KEY); INSERT INTO parents VALUES (1); \
        ALTER TABLE notes ADD CONSTRAINT p FOREIGN KEY (id) REFERENCES parents (id)";
    let undo = "ALTER TABLE notes DROP CONSTRAINT p";
    let orphan = ("1452", Class::Reference);
    provoke(&mut database, parents, &[note(2, "x")], orphan, undo).await;
    let children = "CREATE TABLE children (id BIGINT PRIMARY KEY, FOREIGN KEY (id) \
        REFERENCES notes (id)); INSERT INTO children VALUES (1)";
    let delete = Change::Delete { id: note_id(1) };
    let parent = ("1451", Class::Reference);
    provoke(&mut database, children, &[delete], parent, "DROP TABLE children").await;

    let renamed = "ALTER TABLE notes RENAME COLUMN body TO words";
    let undo = "ALTER TABLE notes RENAME COLUMN words TO body";
    provoke(&mut database, renamed, &[note(2, "x")], ("1054", Class::Systemic), undo).await;
    let needed = "ALTER TABLE notes ADD needed INT NOT NULL";
    let undo = "ALTER TABLE notes DROP needed";
    provoke(&mut database, needed, &[note(2, "x")], ("1364", Class::Systemic), undo).await;
    let computed = "ALTER TABLE notes DROP body, ADD body TEXT AS ('x') STORED";
    provoke(&mut database, computed, &[note(2, "x")], ("1906", Class::Systemic), "").await;
    database.sql("DROP TABLE notes").await;
    provoke(&mut database, "", &[note(2, "x")], ("1146", Class::Systemic), "").await;
    let missing = database.store.load(&NOTES, Query::Ids(&[note_id(1)])).await;
    assert_eq!(class(&missing), Class::Systemic, "{missing:?}");
}

#[tokio::test]
async fn a_value_that_mysql_cannot_hold_is_refused_by_name_and_never_found() {
    let names = schema(
        "names",
        [
            id_column("the_id", Kind::Text),
            column("the_count", Kind::U64),
            column("the_share", Kind::F64),
        ],
    );
    let database = Database::new().await;
    database.store.ledger(Ledger::Install { schema: &names }).await.unwrap();
    let most = |id: &str, share| {
        let id = conformance::id(vec![text(id)]);
        let row = vec![id.values()[0].clone(), Value::U64(u64::MAX), Value::F64(share)];
        [Change::Put { id, record: record(row) }]
    };
    for (changes, words) in [
        (most(&"x".repeat(769), 1.0), ["`the_id`", "3072"]),
        (most("a", f64::NAN), ["`the_share`", "NaN"]),
        (most("a", f64::NEG_INFINITY), ["`the_share`", "inf"]),
        (most("a", -0.0), ["`the_share`", "-0.0"]),
    ] {
        let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
        let refused = database.store.apply(&names, batch).await;
        assert_eq!(class(&refused), Class::Record);
        let message = refused.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        let query = Query::Ids(std::slice::from_ref(changes[0].id()));
        assert!(database.store.load(&names, query).await.unwrap().is_empty());
        let delete = [Change::Delete { id: changes[0].id().clone() }];
        let batch = Batch::new(&delete, Instant::now() + Duration::from_secs(20));
        database.store.apply(&names, batch).await.unwrap();
    }
    let changes = most(&"é".repeat(255), 0.1);
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
    database.store.apply(&names, batch).await.unwrap();
    let rows = database.store.load(&names, Query::Ids(&[changes[0].id().clone()])).await.unwrap();
    assert_eq!(records(rows).first(), changes[0].record());
}

#[tokio::test]
async fn what_is_missing_is_said_in_sentences() {
    let mut database = Database::new().await;
    let all = database.missing(&NOTES).await;
    for table in [
        "`notes`",
        "`cached_repo_meta`",
        "`cached_repo_offsets`",
        "`cached_repo_dead_letters`",
        "`cached_repo_locks`",
    ] {
        assert!(all.contains(&format!("The table {table} does not exist")), "{all}");
    }
    let ddl = database.store.describe(&NOTES).await.unwrap().ddl;
    database.sql(&ddl).await;
    database.sql(&ddl).await;
    assert_eq!(database.missing(&NOTES).await, "");
    database.sql("ALTER TABLE cached_repo_offsets DROP settled").await;
    let missing = database.missing(&NOTES).await;
    assert!(missing.contains("`cached_repo_offsets` has no column `settled`"), "{missing}");
    database.sql("ALTER TABLE cached_repo_offsets ADD settled BIGINT NOT NULL DEFAULT 0").await;
    for (ddl, words) in [
        ("id BIGINT, body TEXT", "no column `rank`: ALTER TABLE"),
        ("id BIGINT, body TEXT, `rank` INT, KEY (id)", "unique index on exactly (id)"),
        ("id BIGINT, body TEXT, `rank` INT, UNIQUE (id, `rank`)", "unique index on exactly (id)"),
        (
            "id BIGINT PRIMARY KEY, body CHAR(9), `rank` INT",
            "`body` of the table `notes` is declared \
            char",
        ),
        (
            "id BIGINT PRIMARY KEY, body TEXT, `rank` FLOAT",
            "`rank` of the table `notes` is declared \
            float",
        ),
    ] {
        database.sql(&format!("DROP TABLE notes; CREATE TABLE notes ({ddl})")).await;
        let missing = database.missing(&NOTES).await;
        assert!(missing.contains(words), "{words}: {missing}");
    }
    database
        .sql(
            "DROP TABLE notes;
             CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT, `rank` INT) ENGINE = MyISAM",
        )
        .await;
    assert!(database.missing(&NOTES).await.contains("kept by MyISAM, which has no transactions"));
    database.sql("ALTER TABLE notes ENGINE = InnoDB").await;
    assert_eq!(database.missing(&NOTES).await, "");
}

#[tokio::test]
async fn a_user_that_may_not_create_tables_can_install_where_they_are_and_is_told_the_sql() {
    let mut database = Database::with("").await;
    let (user, name) = (unique("user"), database.name.clone());
    // A user's name has 32 characters at most on MySQL.
    let user = &user[user.len().saturating_sub(30)..];
    database
        .sql(&format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY 'secret@/';
             GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO '{user}'@'%'"
        ))
        .await;
    let url = database.url.replace("//root@", &format!("//{user}:secret%40%2F@"));
    let store = store::connect(&url).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    write_fenced(&store, note(1, "mine"), Fence::new("notes", 0, 0)).await.unwrap();
    let new = NOTES.with_table("new".into());
    let refused = store.ledger(Ledger::Install { schema: &new }).await;
    assert_eq!(class(&refused), Class::Systemic, "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("(code 1142)"));
    let ddl = store.describe(&new).await.unwrap().ddl;
    database.sql(&ddl).await;
    store.ledger(Ledger::Install { schema: &new }).await.unwrap();
    assert!(store.describe(&new).await.unwrap().missing.is_empty());

    database.sql(&format!("REVOKE UPDATE ON {name}.* FROM '{user}'@'%'")).await;
    database.kill_all().await;
    let refused = write(&store, &[note(1, "not mine")]).await;
    assert_eq!(class(&refused), Class::Systemic, "{refused:?}");
    let wrong = store::connect(&url.replace("secret", "wrong")).await.unwrap_err();
    assert_eq!(wrong.kind(), cached_repo::ErrorKind::Configuration, "{wrong}");
    drop(store);
    database.kill_all().await;
    database.sql(&format!("DROP USER '{user}'@'%'")).await;
}
