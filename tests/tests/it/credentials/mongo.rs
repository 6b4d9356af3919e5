//! Users and passwords of MongoDB that change while a process runs.

use cached_repo::store::{Batch, Class, Entry, LetterKey, StoreError};
use mongodb::bson::{Bson, doc};
use tests::{Proxy, secured::SecuredMongoDb};
use tokio::time::Instant;

use super::*;

/// A server with a user, and a proxy that can cut its connections.
struct Scene {
    server: SecuredMongoDb,
    proxy: Proxy,
}

impl Scene {
    async fn new() -> Self {
        let server = SecuredMongoDb::start(true).await;
        let proxy = Proxy::start(server.address()).await;
        let scene = Self { server, proxy };
        scene.make("app", "secret-one").await;
        scene
    }

    async fn make(&self, user: &str, password: &str) {
        let roles = [Bson::from("readWrite")];
        self.server.run(doc! { "createUser": user, "pwd": password, "roles": roles }).await;
    }

    async fn change(&self, password: &str) {
        self.server.run(doc! { "updateUser": "app", "pwd": password }).await;
    }

    fn url(&self, login: &str) -> String {
        let address = self.proxy.url();
        format!("mongodb://{login}{address}/app?directConnection=true&heartbeatFrequencyMS=500")
    }
}

async fn identity(store: &store::SharedStore) -> Result<Entry, StoreError> {
    store.ledger(Ledger::Identity).await
}

/// The same, again as long as it finds connections that were cut.
async fn reached(store: &store::SharedStore) -> Result<Entry, StoreError> {
    loop {
        match identity(store).await {
            Err(e) if e.to_string().contains("I/O error") => {}
            answer => return answer,
        }
    }
}

#[tokio::test]
async fn a_password_of_mongodb_changes_without_a_restart() {
    let scene = Scene::new().await;
    let vault = Vault::new("secret-one");
    let builder = || store::builder().credentials(vault.clone());
    let store = builder().connect(&scene.url("app@")).await.unwrap();
    store.ledger(Ledger::Install { schema: &Todo::SCHEMA }).await.unwrap();
    let first = identity(&store).await.unwrap();
    assert_eq!(vault.asked(), 1, "once before the first connection");

    scene.change("secret-two").await;
    // At the first question the vault does not know yet.
    vault.says(&["secret-one", "secret-two"]);
    assert_eq!(identity(&store).await.unwrap(), first, "the connection is open");
    assert_eq!(vault.asked(), 0, "an open connection needs no login");
    scene.proxy.cut();
    assert_eq!(reached(&store).await.unwrap(), first);
    assert_eq!(vault.asked(), 2, "once more after the refusal");

    // Many are refused at once, and one of them asks for all.
    scene.change("secret-three").await;
    vault.says(&["secret-three"]);
    scene.proxy.cut();
    let many = (0..20).map(|_| reached(&store));
    for each in futures_util::future::join_all(many).await {
        assert_eq!(each.unwrap(), first);
    }
    assert_eq!(vault.asked(), 1);

    // A new store asks twice at once as well.
    vault.says(&["secret-one", "secret-three"]);
    builder().connect(&scene.url("")).await.unwrap();
    assert_eq!(vault.asked(), 2);
    vault.says(&["secret-wrong"]);
    let error = builder().connect(&scene.url("app@")).await.unwrap_err();
    refused(&error, ErrorKind::Configuration, "127.0.0.1");
    assert_eq!(vault.asked(), 2, "once more, and not again");
    vault.says(&[]);
    let error = builder().connect(&scene.url("app@")).await.unwrap_err();
    refused(&error, ErrorKind::StoreUnavailable, "the vault is sealed");
    assert_eq!(vault.asked(), 1);
    let error = builder().connect(&scene.url("app:secret@")).await.unwrap_err();
    refused(&error, ErrorKind::Configuration, "`credentials`");
    assert!(!format!("{:?} {store:?}", builder()).contains("secret"));

    // What stays wrong is an error, and no end of questions.
    scene.change("secret-four").await;
    vault.says(&["secret-wrong"]);
    scene.proxy.cut();
    let error = reached(&store).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(vault.asked(), 2);
}

/// A vault that makes a user for each lease, and takes the old one away.
#[tokio::test]
async fn a_user_of_mongodb_is_followed_by_another_one() {
    let scene = Scene::new().await;
    let lease = Arc::new(Mutex::new("app"));
    let asked = Arc::new(AtomicUsize::new(0));
    let (from, count) = (lease.clone(), asked.clone());
    let provider = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let user = *from.lock().unwrap();
        async move { Ok(Login::new(user, "secret-one")) }
    };
    let store = store::builder().credentials(provider).connect(&scene.url("")).await.unwrap();
    store.ledger(Ledger::Install { schema: &Todo::SCHEMA }).await.unwrap();
    let first = identity(&store).await.unwrap();
    for (round, old, new) in [(0, "app", "b"), (1, "b", "c"), (2, "c", "d")] {
        scene.make(new, "secret-one").await;
        *lease.lock().unwrap() = new;
        scene.server.run(doc! { "dropUser": old }).await;
        // Connections are open, and their user has no rights any more.
        let letter = LetterKey { entity: "todos", partition: 0, version: 1 };
        match round {
            0 => assert_eq!(identity(&store).await.unwrap(), first),
            1 => {
                let repo: Repository<Todo> = {
                    let cache = Cache::in_memory();
                    Repository::builder(&cache).store(&store).build().await.unwrap()
                };
                repo.save(&todo("1", "by another user")).await.unwrap();
            }
            _ => {
                // A write to a single document: whether to repeat it, the caller decides.
                let error = store.ledger(Ledger::Discard(letter)).await.unwrap_err();
                assert_eq!(error.class(), Class::Transient, "{error}");
                assert!(error.to_string().contains("try again"), "{error}");
                store.ledger(Ledger::Discard(letter)).await.unwrap();
            }
        }
        assert_eq!(asked.swap(0, Ordering::Relaxed), if round == 0 { 2 } else { 1 });
    }
    // Nobody follows: what the user may not do is said at once.
    scene.server.run(doc! { "dropUser": "d" }).await;
    let batch = Batch::new(&[], Instant::now());
    store.apply(&Todo::SCHEMA, batch).await.unwrap_err();
    let error = identity(&store).await.unwrap_err();
    assert_eq!(error.class(), Class::Systemic, "{error}");
}

#[tokio::test]
async fn a_journal_is_drained_to_mongodb_while_passwords_change() {
    let scene = Scene::new().await;
    let vault = Vault::new("secret-one");
    let store = store::builder().credentials(vault.clone());
    let store = store.connect(&scene.url("")).await.unwrap();
    store.create_tables::<Todo>().await.unwrap();
    let cache = Cache::in_memory();
    let repo: Repository<Todo> = Repository::builder(&cache)
        .store(&store)
        .strategy(Strategy::WriteBehind)
        .build()
        .await
        .unwrap();
    for (round, password) in ["secret-two", "secret-three", "secret-four"].into_iter().enumerate() {
        let id = round.to_string();
        // The first write of a partition asks the store.
        repo.save(&todo(&id, "before")).await.unwrap().persisted().await.unwrap();
        vault.says(&[password]);
        scene.change(password).await;
        scene.proxy.cut();
        repo.save(&todo(&id, "after")).await.unwrap().persisted().await.unwrap();
        assert!(repo.evict(&id).await.unwrap());
        assert_eq!(repo.get(&id).await.unwrap(), Some(todo(&id, "after")));
        assert!(vault.asked() > 0);
    }
    assert_eq!(cache.backlog().await.unwrap(), 0);
}
