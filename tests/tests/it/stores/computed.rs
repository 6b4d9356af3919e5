//! Columns that are not the entity's alone: those that the database computes, and those that are missing.

use super::{journal::Stage, *};

#[tokio::test]
async fn a_generated_column_is_computed_and_may_be_read_and_not_written() {
    let ddl = "CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(99), rank INTEGER,
        loud VARCHAR(99) GENERATED ALWAYS AS (upper(body)) STORED)";
    let with = |loud| schema("notes", NOTES_COLUMNS.iter().cloned().chain([loud]));
    let mapped = with(column("loud", Kind::Text));
    let generated = with(column("loud", Kind::Text).generated());
    for stage in &mut Stage::each(ddl).await {
        let store = &stage.drain.store;
        for body in ["first", "second"] {
            write(store, &[note(1, body)]).await.unwrap();
        }
        assert_eq!(read(store, 1).await.unwrap().0, text("second"));
        let mut rows = records(store.load(&mapped, Query::Ids(&[note_id(1)])).await.unwrap());
        assert_eq!(rows.remove(0).take(3), Some(text("SECOND")));
        assert!(store.describe(&NOTES).await.unwrap().missing.is_empty());
        let missing = store.describe(&mapped).await.unwrap().missing.join(" ");
        assert!(missing.contains("`loud` of the table `notes` is computed"), "{missing}");
        assert_eq!(store.describe(&generated).await.unwrap().missing, [""; 0]);
        let row = record(vec![Value::I64(2), text("x"), Value::I64(7), text("a lie")]);
        let put = [Change::Put { id: note_id(2), record: row }];
        let batch = Batch::new(&put, Instant::now() + Duration::from_secs(10)).returning(true);
        let written = store.apply(&generated, batch).await.unwrap();
        let [Applied::Put(Some(row))] = written.as_slice() else { panic!("{written:?}") };
        assert_eq!(row.get(3), Some(&text("X")));
    }
}

/// The statement that is told makes a table that can be built on, and rows that can be read.
#[tokio::test]
async fn a_column_that_is_missing_is_added_with_what_old_rows_are_to_have() {
    let new = |name, kind, absent| {
        ColumnSpec::new(name, name, &[], kind, false, false).when_absent(absent)
    };
    let columns = [
        (new("order", Kind::I64, || Some(Value::I64(-7))), Some(Value::I64(-7))),
        (new("done", Kind::Bool, || Some(Value::Bool(true))), Some(Value::Bool(true))),
        (new("share", Kind::F64, || Some(Value::F64(0.5))), Some(Value::F64(0.5))),
        (new("title", Kind::Text, || Some(text("it's"))), Some(text("it's"))),
        (new("needed", Kind::I64, || None), None),
        (column("maybe", Kind::I64), Some(Value::Null)),
    ];
    let ddl = "CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(99), rank INTEGER)";
    for stage in &mut Stage::each(ddl).await {
        let store = stage.drain.store.clone();
        write(&store, &[note(1, "old")]).await.unwrap();
        for (column, value) in &columns {
            let newer = schema("notes", NOTES_COLUMNS.iter().cloned().chain([column.clone()]));
            let missing = store.describe(&newer).await.unwrap().missing.join(" ");
            let (_, sql) = missing.split_once("`: ").expect(&missing);
            assert_eq!(sql.contains("Give each row a value"), value.is_none(), "{missing}");
            assert_eq!(sql.contains("NOT NULL"), value.is_some() && !column.is_nullable());
            stage
                .sql(sql.split_once(". Give").map_or(sql, |(sql, _)| sql).trim_end_matches('.'))
                .await;
            assert!(store.describe(&newer).await.unwrap().missing.is_empty(), "{sql}");
            let mut rows = store.load(&newer, Query::Ids(&[note_id(1)])).await.unwrap();
            match (rows.remove(0), value) {
                (Ok(mut row), Some(value)) => {
                    assert_eq!(row.take(3).as_ref(), Some(value), "{sql}")
                }
                // Until the row is given a value, as the hint says.
                (Err(error), None) => assert_eq!(error.id(), Some(&note_id(1)), "{error}"),
                (row, _) => panic!("{sql}: {row:?}"),
            }
        }
    }
}
