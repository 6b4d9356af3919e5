//! What `store::connect` says about URLs.

use cached_repo::ErrorKind;
use tests::servers;
use tokio::net::TcpListener;

use super::*;

/// The kind and the text of what connecting fails with.
async fn refused(url: &str) -> (ErrorKind, String) {
    let error = store::connect(url).await.expect_err(url);
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    (error.kind(), text)
}

#[tokio::test]
async fn a_url_that_cannot_work_is_refused_in_words_that_help() {
    for (url, words) in [
        ("mysql://root:secret@localhost", "names no database"),
        ("mysql://root:secret@localhost/app?charset=latin1", "utf8mb4"),
        ("mysql://root:12/secret@localhost/app", "percent-encode"),
        ("mysql://root:secret@localhost:port/app", "cannot be read"),
        ("mongodb://root:secret@localhost", "names no database"),
        ("mongodb://root:se@cret@localhost/app", "percent-encoded"),
        (
            "mongodb://root:secret@localhost/app?w=secret-not-a-number&wtimeoutMS=x",
            "cannot be read",
        ),
        ("mongodb+srv://root:secret@localhost/app", "`mongodb:` URL"),
        ("oracle://root:secret@localhost/app", "`postgres:`"),
        ("secret", "`sqlite:`"),
        ("", "`sqlite:`"),
        ("sqlite:", "names no file"),
        ("sqlite:x?mode=secret-not", "sqlite"),
        ("postgres://u:secret@localhost/app?ssl_mode=require&secret", "sslmode"),
        ("postgres://u:secret@localhost/app?sslmode=secret-not", "cannot be read"),
        ("postgres://u:12#secret@localhost/app", "percent-encode"),
        ("postgres://u:12/secret@localhost/app", "percent-encode"),
        ("postgres://u:12?secret@localhost/app", "percent-encode"),
        ("postgres://u:secret@localhost:port/app", "cannot be read"),
    ] {
        if url.contains("mode=secret-not") {
            // The driver repeats the mode, which is no secret.
            assert!(store::connect(url).await.is_err());
            continue;
        }
        let (kind, text) = refused(url).await;
        assert_eq!(kind, ErrorKind::Configuration, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_reported_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    for scheme in ["postgres", "mysql"] {
        let (kind, text) = refused(&format!("{scheme}://u:secret@127.0.0.1:{port}/app")).await;
        assert_eq!(kind, ErrorKind::StoreUnavailable);
        assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    }
    // Not after the ten seconds that connecting may take.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    let (kind, text) = refused("sqlite:/no/such/folder/app.db").await;
    assert_eq!(kind, ErrorKind::StoreUnavailable);
    assert!(text.contains("/no/such/folder/app.db"), "{text}");
}

#[tokio::test]
async fn a_mongodb_that_is_not_there_or_has_no_transactions_is_reported() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("mongodb://u:secret@127.0.0.1:{port}/app?serverSelectionTimeoutMS=100");
    let (kind, text) = refused(&url).await;
    assert_eq!(kind, ErrorKind::StoreUnavailable, "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");

    let standalone = tests::servers::mongodb_standalone_url();
    let (kind, text) = refused(&tests::servers::mongodb_database(&standalone, "app")).await;
    assert_eq!(kind, ErrorKind::Configuration, "{text}");
    assert!(text.contains("--replSet"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["postgres", "mysql"] {
        let (kind, text) = refused(&format!("{scheme}://u:secret@127.0.0.1:{port}/app")).await;
        assert_eq!(kind, ErrorKind::StoreUnavailable);
        assert!(text.contains("did not answer within 10 s"), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_mistake_in_the_settings() {
    let database = postgres_database::Database::new().await;
    let (server, _) = database.url.split_once('?').unwrap();
    for url in [format!("{server}_not_there"), format!("{}_not_there", servers::mysql_url())] {
        let (kind, text) = refused(&url).await;
        assert_eq!(kind, ErrorKind::Configuration, "{text}");
    }
}

#[tokio::test]
async fn a_mariadb_may_be_called_so() {
    let database = mysql_database::Database::new().await;
    let store = store::connect(&database.url.replacen("mysql:", "mariadb:", 1)).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    write(&store, &[note(1, "here")]).await.unwrap();
    assert!(read(&database.store, 1).await.is_some());
}
