//! What happens on PostgreSQL between BEGIN and COMMIT: locks, deadlines, fences, lost connections.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{postgres::Database, *};

const LOCK_NOTE_1: &str = "BEGIN; SELECT FROM notes WHERE id = 1 FOR UPDATE";

async fn locked() -> Database {
    let mut database =
        Database::with("INSERT INTO notes (id, body) VALUES (1, 'old'), (2, 'old')").await;
    database.sql(LOCK_NOTE_1).await;
    database
}

#[tokio::test]
async fn a_locked_row_is_waited_for_until_the_deadline_and_not_written_later() {
    let mut database = locked().await;
    let start = Instant::now();
    let late = write_within(&database.store, &[note(1, "late")], Duration::from_millis(400)).await;
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    // The lock is held for ever.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    database.sql("COMMIT").await;
    // This waits behind whatever the late write might still hold.
    database.sql("UPDATE notes SET rank = 5 WHERE id = 1 AND body = 'old'").await;
    assert_eq!(read(&database.store, 1).await, Some((text("old"), Value::I64(5))));
}

#[tokio::test]
async fn a_deadlock_is_an_error_that_may_be_tried_again() {
    let mut database =
        Database::with("INSERT INTO notes (id, body) VALUES (1, 'old'), (2, 'old')").await;
    // Who looks for deadlocks while there is one is its victim. The store looks a second after it began
    // to wait, so it begins when the other one waits already; the other one does not look.
    let other = database.number("SELECT pg_backend_pid()::BIGINT").await;
    let wait = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             WHILE NOT EXISTS (SELECT FROM pg_locks WHERE pid = {other} AND NOT granted) LOOP
                 PERFORM pg_sleep(0.01);
             END LOOP;
             RETURN NEW;
         END $$;
         CREATE TRIGGER wait BEFORE UPDATE ON notes FOR EACH ROW
             WHEN (OLD.id = 1 AND NEW.body = 'a') EXECUTE FUNCTION wait()"
    );
    database.sql(&wait).await;
    database
        .sql("SET deadlock_timeout = '1h'; BEGIN; UPDATE notes SET rank = 1 WHERE id = 2")
        .await;
    let store = database.store.clone();
    let writing = tokio::spawn(async move { write(&store, &[note(1, "a"), note(2, "b")]).await });
    database.connections("wait_event = 'PgSleep'", 1).await;
    database.sql("UPDATE notes SET rank = 1 WHERE id = 1; COMMIT").await;
    let deadlock = writing.await.unwrap();
    assert_eq!(class(&deadlock), Class::Transient, "{deadlock:?}");
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
}

#[tokio::test]
async fn connections_that_died_in_the_pool_are_passed_over() {
    let mut database = Database::with("").await;
    for kind in 0..2 {
        let (store, notes) = (&database.store, [1, 2, 3, 4].map(|id| [note(id, "x")]));
        // Several at once, so that several connections lie in the pool.
        let written = futures_util::future::join_all(notes.iter().map(|n| write(store, n))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        database.kill_all().await;
        match kind {
            0 => drop(write(&database.store, &[note(9, "after")]).await.unwrap()),
            _ => assert!(read(&database.store, 9).await.is_some()),
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_killed_in_the_middle_is_an_error_that_may_be_tried_again() {
    let mut database = locked().await;
    let store = database.store.clone();
    let writing = tokio::spawn(async move { write(&store, &[note(1, "killed")]).await });
    database.waiting("transactionid", 1).await;
    database.kill_all().await;
    let killed = writing.await.unwrap();
    assert_eq!(class(&killed), Class::Transient, "{killed:?}");
    database.sql("COMMIT").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
}

#[tokio::test]
async fn a_cancelled_write_gives_its_locks_and_its_connection_back() {
    let mut database = locked().await;
    for cancelled in 1..=3 {
        let store = database.store.clone();
        let changes = [note(1, "cancelled"), note(3, "cancelled")];
        let writing = tokio::spawn(async move { write(&store, &changes).await });
        database.waiting("transactionid", 1).await;
        writing.abort();
        assert!(writing.await.unwrap_err().is_cancelled());
        // The server does not notice before it has the lock, or runs out of time.
        database.sql("COMMIT").await;
        database.connections("state <> 'idle'", 0).await;
        assert_eq!(read(&database.store, 3).await, None, "write {cancelled}");
        database.sql(LOCK_NOTE_1).await;
    }
    database.sql("COMMIT").await;
    write(&database.store, &[note(1, "new"), note(2, "new")]).await.unwrap();
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("new"));
}

#[tokio::test]
async fn an_epoch_is_not_raised_under_a_write_that_was_fenced_by_it() {
    for epoch in [0, 1] {
        let mut database = locked().await;
        let store = database.store.clone();
        if epoch == 1 {
            raise(&store, "notes").await.unwrap();
        }
        // Held up between its check and its commit.
        let first = tokio::spawn({
            let store = store.clone();
            async move { write_fenced(&store, note(1, "first"), Fence::new("notes", 0, epoch)).await }
        });
        database.waiting("transactionid", 1).await;
        let raising = tokio::spawn({
            let store = store.clone();
            async move { raise(&store, "notes").await }
        });
        database.waiting("advisory", 1).await;
        // Begun before the epoch is raised, checked after it.
        let second = tokio::spawn({
            let store = store.clone();
            async move { write_fenced(&store, note(2, "second"), Fence::new("notes", 0, epoch)).await }
        });
        database.waiting("advisory", 2).await;
        // Another partition has nothing to do with it.
        write_fenced(&store, note(3, "other"), Fence::new("notes", 1, 0)).await.unwrap();
        assert!(!raising.is_finished());

        database.sql("COMMIT").await;
        first.await.unwrap().unwrap();
        assert_eq!(raising.await.unwrap().unwrap(), epoch + 1);
        assert_eq!(class(&second.await.unwrap()), Class::Fenced);
        assert_eq!(read(&store, 1).await.unwrap().0, text("first"));
        assert_eq!(read(&store, 2).await.unwrap().0, text("old"));
    }
}

#[tokio::test]
async fn a_role_with_other_defaults_is_fenced_all_the_same() {
    let mut database = locked().await;
    let options = "options=-cdefault_transaction_isolation%3Dserializable%20";
    let store = store::connect(&database.url.replace("options=", options)).await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { write_fenced(&store, note(1, "first"), Fence::new("notes", 0, 0)).await }
    });
    database.waiting("transactionid", 1).await;
    let raising = tokio::spawn({
        let store = store.clone();
        async move { raise(&store, "notes").await }
    });
    database.waiting("advisory", 1).await;
    let second = tokio::spawn(async move {
        write_fenced(&store, note(2, "second"), Fence::new("notes", 0, 0)).await
    });
    database.waiting("advisory", 2).await;
    database.sql("COMMIT").await;
    first.await.unwrap().unwrap();
    raising.await.unwrap().unwrap();
    assert_eq!(class(&second.await.unwrap()), Class::Fenced);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_whether_or_not_it_happened() {
    for (commits, found) in [(Commits::ArriveUnanswered, true), (Commits::AreLost, false)] {
        let database = Database::with("").await;
        let (store, _) = through_proxy(&database, commits).await;
        let unknown = write(&store, &[note(1, "maybe")]).await;
        assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
        while database.store.load(&NOTES, Query::Ids(&[note_id(1)])).await.unwrap().is_empty()
            == found
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&database.store, 1).await.is_some(), found);
    }
}

#[tokio::test]
async fn a_commit_that_arrives_after_the_deadline_takes_no_effect() {
    let mut database = Database::with("").await;
    let (store, release) = through_proxy(&database, Commits::Wait).await;
    let start = Instant::now();
    let late = write_within(&store, &[note(1, "late")], Duration::from_millis(800)).await;
    // The server said that it had waited long enough.
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    // The COMMIT is held for ever.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    release.notify_one();
    // The row lock of the late transaction is gone when this is through, one way or the other.
    database.sql("INSERT INTO notes (id, body) VALUES (1, 'other')").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("other"));
}

/// What becomes of a COMMIT on its way to the server.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Commits {
    /// It arrives; the connection is cut before the answer.
    ArriveUnanswered,
    /// The connection is cut instead.
    AreLost,
    /// It is held until it is released.
    Wait,
}

pub(super) async fn through_proxy(
    database: &Database,
    commits: Commits,
) -> (SharedStore, Arc<Notify>) {
    let (url, release) = proxied(&database.url, commits).await;
    (store::connect(&url).await.unwrap(), release)
}

/// The URL of a proxy in front of a database, and what releases a COMMIT that waits.
pub(super) async fn proxied(url: &str, commits: Commits) -> (String, Arc<Notify>) {
    let authority = url.split(['@', '/']).find(|part| part.contains(':') && !part.ends_with(':'));
    let server = authority.unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
    let release = Arc::new(Notify::new());
    let released = release.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, server.clone(), commits, released.clone()));
        }
    });
    (url, release)
}

async fn carry(client: TcpStream, server: String, commits: Commits, release: Arc<Notify>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers =
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
        let request = &bytes[..count];
        if request.windows(7).any(|window| window == b"COMMIT\0" || window == b"COMMIT ") {
            match commits {
                Commits::Wait => release.notified().await,
                _ => answers.abort(),
            }
            if commits == Commits::AreLost {
                return;
            }
        }
        if to_server.write_all(request).await.is_err() {
            return;
        }
        if answers.is_finished() {
            return;
        }
    }
}
