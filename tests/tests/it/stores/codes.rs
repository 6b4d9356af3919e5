//! The codes of each SQL database, provoked one by one: by what goes wrong in a table, or where that takes
//! a disk that is full or a server that dies, by a trigger that says so. (MongoDB's: `mongo_faults`.)

use sqlx::raw_sql;

use super::*;

const TAKEN: &str = "INSERT INTO notes VALUES (1, 'taken', 1)";

#[track_caller]
fn told(refused: Result<Vec<Applied>, StoreError>, code: &str, expected: Class) {
    assert_eq!(class(&refused), expected, "{code}: {refused:?}");
    let message = refused.unwrap_err().to_string();
    assert!(message.contains(&format!("(code {code})")), "{code}: {message}");
}

#[tokio::test]
async fn each_code_of_postgres_has_the_class_that_the_table_says() {
    let mut database = postgres_database::Database::with(TAKEN).await;
    let alter = "ALTER TABLE notes";
    for (code, class, ddl, undo, change) in [
        ("23505", Class::Record, "ADD CONSTRAINT c UNIQUE (body)", "DROP CONSTRAINT c", "taken"),
        (
            "23502",
            Class::Systemic,
            "ADD c int NOT NULL DEFAULT 1; ALTER TABLE notes ALTER c DROP DEFAULT",
            "DROP c",
            "x",
        ),
        ("23514", Class::Record, "ADD CONSTRAINT c CHECK (body <> 'x')", "DROP CONSTRAINT c", "x"),
        (
            "22P02",
            Class::Record,
            "ADD c int GENERATED ALWAYS AS (CASE body WHEN 'x' THEN \
            body::int END) STORED",
            "DROP c",
            "x",
        ),
        (
            "23503",
            Class::Reference,
            "ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES parents \
            (id)",
            "DROP CONSTRAINT c",
            "x",
        ),
        ("42703", Class::Systemic, "RENAME body TO words", "RENAME words TO body", "x"),
        (
            "428C9",
            Class::Systemic,
            "DROP body, ADD body text GENERATED ALWAYS AS ('x') STORED",
            "DROP body, ADD body text",
            "x",
        ),
        ("42P01", Class::Systemic, "RENAME TO others", "", "x"),
    ] {
        database.sql("CREATE TABLE IF NOT EXISTS parents (id BIGINT PRIMARY KEY)").await;
        database.sql("INSERT INTO parents VALUES (1) ON CONFLICT DO NOTHING").await;
        database.sql(&format!("{alter} {ddl}")).await;
        told(write(&database.store, &[note(2, change)]).await, code, class);
        let undo = if undo.is_empty() {
            "ALTER TABLE others RENAME TO notes".to_owned()
        } else {
            format!("{alter} {undo}")
        };
        database.sql(&undo).await;
    }
    for (class, codes) in [
        (Class::Transient, &["28P01", "40001", "40P01", "53100", "53200", "57014", "58030"][..]),
        (Class::Transient, &["08006", "25006", "25P03", "55006", "55P03", "57P01"]),
        (Class::Record, &["22001", "22003", "22021", "23P01", "44000", "54000", "P0001"]),
        (Class::Reference, &["23001"]),
        (Class::Systemic, &["0A000", "3F000", "42501", "42804", "XX000"]),
    ] {
        for code in codes {
            let raise = format!(
                "CREATE OR REPLACE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE 'so it is' USING ERRCODE = '{code}'; END $$; \
                 CREATE OR REPLACE TRIGGER says BEFORE INSERT ON notes \
                 FOR EACH ROW EXECUTE FUNCTION says()"
            );
            database.sql(&raise).await;
            told(write(&database.store, &[note(2, "x")]).await, code, class);
        }
    }
    database.sql("DROP TRIGGER says ON notes").await;
    write(&database.store, &[note(2, "x")]).await.unwrap();
}

/// `mysql_errors` has those that a table provokes.
#[tokio::test]
async fn each_code_of_mysql_has_the_class_that_the_table_says() {
    let mut database = mysql_database::Database::with("").await;
    for (class, codes) in [
        (Class::Transient, &[1213, 1205, 1206, 1099, 3024, 1969, 1317, 1045, 1698, 28][..]),
        (Class::Transient, &[1040, 1203, 1226, 1041, 1037, 1135, 1290, 1836, 1792, 1021, 1114]),
        (Class::Transient, &[1020, 1412, 1047, 1180, 1615, 3100, 3101]),
        (Class::Transient, &[1053, 1079, 1080, 1152, 1184, 1158, 1159, 1160, 1161, 1927]),
        (Class::Transient, &[2006, 2013, 3169, 4031]),
        (Class::Record, &[1022, 1062, 1169, 1557, 1586, 1761, 1762, 1690, 1048, 1263]),
        (Class::Record, &[1264, 1265, 1406, 1366, 1292, 1300, 1411, 1367, 3140, 3158, 1365]),
        (Class::Record, &[4025, 3819, 1369, 1526, 1748, 1118, 1030, 1139, 1153]),
        (Class::Record, &[1242, 1644, 1172, 1329, 1416]),
        (Class::Reference, &[1216, 1217, 1451, 1452]),
        (Class::Systemic, &[1044, 1049, 1054, 1064, 1142, 1143, 1146, 1364, 1906]),
    ] {
        for code in codes {
            let raise = format!(
                "CREATE OR REPLACE TRIGGER says BEFORE INSERT ON notes FOR EACH ROW \
                 SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'so it is'"
            );
            database.sql(&raise).await;
            told(write(&database.store, &[note(2, "x")]).await, &code.to_string(), class);
        }
    }
    database.sql("DROP TRIGGER says").await;
    write(&database.store, &[note(2, "x")]).await.unwrap();
}

#[tokio::test]
async fn each_code_of_sqlite_has_the_class_that_the_table_says() {
    let table = |columns: &str| format!("CREATE TABLE notes (id INTEGER PRIMARY KEY, {columns})");
    let plain = table("body TEXT, rank INTEGER");
    for (code, class, ddl) in [
        ("2067", Class::Record, table("body TEXT UNIQUE, rank INTEGER")),
        ("1299", Class::Systemic, table("body TEXT, rank INTEGER, c INTEGER NOT NULL")),
        ("275", Class::Record, table("body TEXT CHECK (body <> 'x'), rank INTEGER")),
        ("3091", Class::Record, table("body BLOB, rank INTEGER").replace(")", ") STRICT")),
        (
            "1811",
            Class::Record,
            format!(
                "{plain}; CREATE TRIGGER t BEFORE INSERT ON notes WHEN NEW.id = 2 BEGIN SELECT RAISE(ABORT, 'no'); END"
            ),
        ),
        (
            "787",
            Class::Reference,
            format!(
                "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1); {}",
                table("body TEXT, rank INTEGER, FOREIGN KEY (id) REFERENCES p (id)")
            ),
        ),
        ("1", Class::Systemic, table("rank INTEGER")),
        ("1", Class::Systemic, table("body TEXT AS ('x'), rank INTEGER")),
        ("8", Class::Systemic, plain.clone()),
    ] {
        let file = sqlite::File::new();
        let mut connection = {
            file.store().await;
            file.connection().await
        };
        let sql =
            sqlx::AssertSqlSafe(format!("{ddl}; INSERT OR IGNORE INTO notes (id) VALUES (1)"));
        raw_sql(sql).execute(&mut connection).await.unwrap();
        let _ = raw_sql("UPDATE notes SET body = 'x'").execute(&mut connection).await;
        let store = match code {
            "8" => store::connect(&format!("{}?mode=ro", file.url())).await.unwrap(),
            _ => file.store().await,
        };
        told(write(&store, &[note(2, "x")]).await, code, class);
    }
}
