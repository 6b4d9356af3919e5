//! Columns that the database computes: beside the entity's they are left alone, as the entity's refused.

use super::{journal::Stage, *};

#[tokio::test]
async fn a_generated_column_is_computed_and_may_not_be_mapped() {
    let ddl = "CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(99), rank INTEGER,
        loud VARCHAR(99) GENERATED ALWAYS AS (upper(body)) STORED)";
    let mapped = schema("notes", NOTES_COLUMNS.iter().cloned().chain([column("loud", Kind::Text)]));
    for stage in &mut Stage::each(ddl).await {
        let store = &stage.drain.store;
        for body in ["first", "second"] {
            write(store, &[note(1, body)]).await.unwrap();
        }
        assert_eq!(read(store, 1).await.unwrap().0, text("second"));
        let mut rows = store.load(&mapped, Query::Ids(&[note_id(1)])).await.unwrap();
        assert_eq!(rows.remove(0).take(3), Some(text("SECOND")));
        assert!(store.describe(&NOTES).await.unwrap().missing.is_empty());
        let missing = store.describe(&mapped).await.unwrap().missing.join(" ");
        assert!(missing.contains("`loud` of the table `notes` is computed"), "{missing}");
    }
}
