//! Tables that are there and of the right types, and would refuse each write all the same.

use cached_repo::Kind;

use super::{declared::Theirs, *};

/// What else a table may be or have so that no write would ever work.
const USELESS: &[(On, &str, &str)] = &[
    (On::Postgres, "CREATE VIEW {t} AS SELECT 1 AS id, 'x'::text AS value", "is a view"),
    (
        On::Postgres,
        "CREATE MATERIALIZED VIEW {t} AS SELECT 1 AS id, 'x'::text AS value",
        "is a materialized view",
    ),
    (
        On::Postgres,
        "CREATE TABLE {t} (id int PRIMARY KEY, value text); \
         CREATE RULE r AS ON INSERT TO {t} DO INSTEAD NOTHING",
        "has a rule",
    ),
    (
        On::Postgres,
        "CREATE TABLE {t} (id int PRIMARY KEY, value text, need int NOT NULL)",
        "`need`",
    ),
    (
        On::MySql,
        "CREATE TABLE {t} (id int PRIMARY KEY, value longtext, need int NOT NULL)",
        "`need`",
    ),
    (On::Sqlite, "CREATE TABLE {t} (id int PRIMARY KEY, value text, need int NOT NULL)", "`need`"),
];

#[tokio::test]
async fn a_table_that_would_refuse_each_write_is_refused_at_the_start() {
    for (on, ddl, words) in USELESS {
        let theirs = Theirs::new(*on, Kind::Text, "text").await;
        let table = theirs.schema.table();
        theirs.sql(&format!("DROP TABLE {table}; {}", ddl.replace("{t}", table))).await;
        let missing = theirs.missing().await;
        assert!(missing.contains(words), "{ddl}: {missing}");
        theirs.sql(&format!("DROP {} {table}", kind_of(ddl))).await;
        // Columns that are counted, computed or have a default are no obstacle.
        let counted = match on {
            On::Postgres => {
                "a serial NOT NULL, b int GENERATED ALWAYS AS IDENTITY, c int NOT NULL \
                GENERATED ALWAYS AS (1) STORED, d int NOT NULL DEFAULT 1"
            }
            On::MySql => {
                "a int NOT NULL AUTO_INCREMENT UNIQUE, c int AS (1) STORED, d int NOT NULL DEFAULT 1"
            }
            _ => "c int NOT NULL AS (1) STORED, d int NOT NULL DEFAULT 1",
        };
        theirs
            .sql(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY NOT NULL, value varchar(99), {counted})"
            ))
            .await;
        assert_eq!(theirs.missing().await, "", "{on:?}");
    }
}

/// The words between CREATE and the name.
fn kind_of(ddl: &str) -> &str {
    let words = ddl.trim_start_matches("CREATE ");
    words.split_once(" {t}").map_or(words, |(kind, _)| kind)
}
