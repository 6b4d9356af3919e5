//! A key that takes different ids for equal is refused, with the SQL that mends it.

use super::{mysql_database, postgres_database, *};

fn names() -> Schema {
    schema("names", [id_column("name", Kind::Text), column("n", Kind::I64)])
}

/// The statements in what is said to be missing, which are to mend it.
fn remedy<'a>(missing: &'a str, why: &str) -> &'a str {
    assert!(missing.contains(&format!("takes different ids for equal ({why})")), "{missing}");
    let (_, sql) = missing.split_once("binary collation (").expect(missing);
    sql.rsplit_once(").").expect(missing).0
}

#[tokio::test]
async fn mysql_is_told_to_compare_exactly_and_not_to_pad() {
    let mut database = mysql_database::Database::with("").await;
    for (column, why) in [
        ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "utf8mb4_general_ci"),
        // It takes spaces at the end for nothing.
        ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "utf8mb4_bin"),
        ("VARCHAR(20)", "latin1_swedish_ci"),
    ] {
        let table = format!("CREATE TABLE names (name {column} NOT NULL PRIMARY KEY, n BIGINT)");
        database.sql(&table).await;
        let missing = database.missing(&names()).await;
        let sql = remedy(&missing, why);
        assert!(sql.contains("VARCHAR(20)"), "the length is theirs: {sql}");
        database.sql(sql).await;
        assert_eq!(database.missing(&names()).await, "", "{sql}");
        database.sql("DROP TABLE names").await;
    }
    let prefix = "CREATE TABLE names (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE \
        utf8mb4_nopad_bin NOT NULL, n BIGINT, UNIQUE (name(4)))";
    database.sql(prefix).await;
    let missing = database.missing(&names()).await;
    assert!(missing.contains("it looks at 4 characters"), "{missing}");
}

#[tokio::test]
async fn postgres_is_told_to_compare_exactly() {
    let mut database = postgres_database::Database::with(
        "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
         CREATE COLLATION folds (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    .await;
    for (column, why) in
        [("public.citext", "citext"), ("character(20)", "bpchar"), ("text COLLATE folds", "folds")]
    {
        database.sql(&format!("CREATE TABLE names (name {column} PRIMARY KEY, n int8)")).await;
        let missing = database.store.describe(&names()).await.unwrap().missing.join("\n");
        let sql = remedy(&missing, why);
        database.sql(sql).await;
        let mended = database.store.describe(&names()).await.unwrap().missing;
        assert!(mended.is_empty(), "{sql}: {mended:?}");
        database.sql("DROP TABLE names").await;
    }
}
