//! Entries as RedisJSON documents: what the module makes of them, what other programs do with them, and
//! what is refused before anything is written.

use cached_repo::{
    Cache, CachedEntity, Column, ColumnError, ErrorKind, Format, Kind, Repository, Strategy, Value,
    store,
};
use proptest::{
    collection::vec,
    num::{f32, f64},
    prelude::{Just, ProptestConfig, any, proptest},
    prop_assert, prop_oneof,
    strategy::{Strategy as Generator, ValueTree},
    test_runner::{TestCaseError, TestRunner},
};
use tests::{isolate, raw, servers, servers::PrivateRedis};

use crate::{
    stage::{On, Over, STORE_FIRST, Stage, Todo, name, todo},
    users,
};

/// One column of each sort that RedisJSON could change.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "documents", format = "json_doc")]
struct Document {
    #[cache(id)]
    id: i64,
    single: f32,
    double: f64,
    signed: i64,
    unsigned: u64,
    text: String,
    blob: Vec<u8>,
    json: Json,
}

/// JSON, letter by letter.
#[derive(Clone, Debug, PartialEq)]
struct Json(String);

impl Column for Json {
    const KIND: Kind = Kind::Json;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Json(self.0.as_str().into())
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Json(text) => Ok(Self(text.into_owned())),
            _ => Err(ColumnError::new("no JSON")),
        }
    }
}

impl Document {
    /// Whether the two are the same, floats to the bit.
    fn is(&self, other: &Self) -> bool {
        let bits = |d: &Self| {
            let nan = (d.single.is_nan(), d.double.is_nan());
            // Which NaN it is, no format tells.
            let double = if nan.1 { 0 } else { d.double.to_bits() };
            (if nan.0 { 0 } else { d.single.to_bits() }, double, nan)
        };
        let rest = |d: &Self| Self { single: 0.0, double: 0.0, ..d.clone() };
        bits(self) == bits(other) && rest(self) == rest(other)
    }
}

fn document() -> impl Generator<Value = Document> {
    let double = prop_oneof![f64::ANY, price(), any::<i32>().prop_map(f64::from)];
    let single = prop_oneof![f32::ANY, any::<i16>().prop_map(f32::from)];
    let signed = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just((1 << 53) + 1)];
    let unsigned = prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 63)];
    let numbers = (single, double, signed, unsigned);
    let texts = (any::<String>(), vec(any::<u8>(), 0..20), json());
    (numbers, texts).prop_map(|((single, double, signed, unsigned), (text, blob, json))| Document {
        id: 0,
        single,
        double,
        signed,
        unsigned,
        text,
        blob,
        json: Json(json),
    })
}

/// What people would be astonished not to find as a number.
fn price() -> impl Generator<Value = f64> {
    (-1_000_000_i64..1_000_000).prop_map(|cents| cents as f64 / 100.0)
}

/// Values that RedisJSON would spell anew or refuse, and one that looks like what stands in for these.
const SPELLED: [&str; 7] =
    ["-0", "1e400", "2.50", "1E2", "\"\\ud800\"", "\"\\u0041\\/\"", "\"_cr:1\""];

/// JSON as others may spell it.
fn json() -> impl Generator<Value = String> {
    let leaf = prop_oneof![
        f64::NORMAL.prop_map(|v| serde_json::to_string(&v).unwrap()),
        price().prop_map(|v| serde_json::to_string(&v).unwrap()),
        any::<i64>().prop_map(|v| v.to_string()),
        any::<u64>().prop_map(|v| v.to_string()),
        any::<String>().prop_map(|v| serde_json::to_string(&v).unwrap()),
        prop_oneof!["true", "null "],
        (0..SPELLED.len()).prop_map(|i| SPELLED[i].to_owned()),
        (95_usize..115).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let member = ("[a-c]|.", inner.clone());
        let member =
            member.prop_map(|(k, v)| format!("{}:{v}", serde_json::to_string(&k).unwrap()));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
    // That alone is the absence of a value.
    .prop_filter("null", |json| json.trim() != "null")
}

/// Documents with what a random one rarely has.
fn rare(like: &Document) -> Vec<Document> {
    // Around what is kept as it is, and what `save` takes.
    let deep = [100, 101, 119, 120].map(|depth| "[".repeat(depth) + &"]".repeat(depth));
    let all = SPELLED.into_iter().chain(["{\"a\":1,\"a\":2}"]).map(str::to_owned).chain(deep);
    all.map(|json| Document { json: Json(json), ..like.clone() }).collect()
}

async fn repo(url: &str, namespace: &str, strategy: Strategy) -> Repository<Document> {
    let builder = Cache::builder().namespace(namespace).no_worker();
    let cache = builder.timeout(std::time::Duration::from_secs(30)).connect(url).await.unwrap();
    let builder = Repository::builder(&cache).partitions(2).strategy(strategy);
    if !strategy.needs_store() {
        return builder.build().await.unwrap();
    }
    let store = store::memory();
    store.create_tables::<Document>().await.unwrap();
    builder.store(&store).build().await.unwrap()
}

async fn are_read(repo: &Repository<Document>, saved: &[Document]) -> Result<(), TestCaseError> {
    let found = repo.get_many(saved.iter().map(|each| each.id)).await.unwrap();
    for (found, saved) in found.iter().zip(saved) {
        prop_assert!(found.as_ref().is_some_and(|f| f.is(saved)), "{saved:?} became {found:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn redisjson_keeps_every_value_exactly(documents in vec(document(), 1..40)) {
        let rare = rare(&documents[0]);
        let documents = documents.into_iter().chain(rare);
        let documents: Vec<_> =
            (0..).zip(documents).map(|(id, document)| Document { id, ..document }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for strategy in [Strategy::RedisOnly, Strategy::WriteBehind] {
                let repo = repo(&servers::redis_json_url(), &isolate::unique("documents"), strategy).await;
                repo.save_many(&documents).await.unwrap();
                are_read(&repo, &documents).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}

/// The server parses and spells every document once more: from its file of commands, from a snapshot.
#[tokio::test]
async fn documents_survive_a_restart() {
    let mut server = PrivateRedis::start_with_json(&["--enable-debug-command", "yes"]).await;
    let mut runner = TestRunner::deterministic();
    let generate = |id| Document { id, ..document().new_tree(&mut runner).unwrap().current() };
    let documents: Vec<_> = (0..200).map(generate).collect();
    let saving = repo(&server.url(), "restarts", Strategy::RedisOnly).await;
    saving.save_many(&documents).await.unwrap();
    server.restart().await;
    let reading = repo(&server.url(), "restarts", Strategy::RedisOnly).await;
    are_read(&reading, &documents).await.unwrap();
    let mut reload = redis::cmd("DEBUG");
    reload.arg("RELOAD");
    let _: String = reload.query_async(&mut raw(server.url()).await).await.unwrap();
    are_read(&reading, &documents).await.unwrap();
}

#[tokio::test]
async fn another_program_reads_and_writes_paths_of_a_document() {
    let stage = Stage::new(Strategy::RedisOnly, Format::JsonDoc, On::Memory, Over::RedisJson).await;
    let saved = Todo { score: 9.99, ..todo("1", "a") };
    stage.repo.save(&saved).await.unwrap();
    let (mut raw, key) = (stage.raw().await, stage.repo.key("1").unwrap());
    let mut get = redis::cmd("JSON.GET");
    get.arg(&key).arg("$.score").arg("$.name").arg("$.labels[0]").arg("$.rank");
    let text: String = get.query_async(&mut raw).await.unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = r#"{"$.score":[9.99],"$.name":["a"],"$.labels[0]":["a\"b"],"$.rank":[-7]}"#;
    assert_eq!(found, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    for (command, path, value) in [
        ("JSON.SET", "$.name", "\"b\""),
        ("JSON.SET", "$.score", "1.25"),
        ("JSON.SET", "$.description", "null"),
        ("JSON.NUMINCRBY", "$.rank", "9"),
        ("JSON.ARRAPPEND", "$.labels", "\"c\""),
    ] {
        let mut change = redis::cmd(command);
        let _: redis::Value =
            change.arg(&key).arg(path).arg(value).query_async(&mut raw).await.unwrap();
    }
    let labels = vec!["a\"b".to_owned(), "c".to_owned()];
    let expected =
        Todo { name: "b".to_owned(), description: None, rank: 2, score: 1.25, labels, ..saved };
    assert_eq!(stage.repo.get("1").await.unwrap(), Some(expected.clone()));
    // The entry is still this library's: the only copy, which no other strategy writes over.
    let builder = stage.builder(stage.cache()).strategy(Strategy::CacheAside);
    let other = builder.build().await.unwrap();
    assert_eq!(other.save(&todo("1", "c")).await.unwrap_err().kind(), ErrorKind::Dirty);
    assert_eq!(other.get("1").await.unwrap(), Some(expected));
}

#[tokio::test]
async fn a_document_of_another_program_is_a_copy() {
    for strategy in STORE_FIRST {
        let stage = Stage::new(strategy, Format::JsonDoc, On::Memory, Over::RedisJson).await;
        stage.repo.save(&todo("1", "stored")).await.unwrap();
        let (mut raw, key) = (stage.raw().await, stage.repo.key("1").unwrap());
        let theirs = r#"{"labels":[],"name":"theirs","id":"1","done":true,"rank":1,"score":2,
            "blob":"AP8=","description":null,"more":{"_cr":"1d"}}"#;
        let mut set = redis::cmd("JSON.SET");
        let _: () = set.arg(&key).arg("$").arg(theirs).query_async(&mut raw).await.unwrap();
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "theirs", "{strategy}");
        stage.repo.save(&todo("1", "ours")).await.unwrap();
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "ours", "{strategy}");
    }
}

#[tokio::test]
async fn a_server_that_holds_no_documents_is_refused() {
    let build = async |url: &str, namespace: &str| {
        let cache = Cache::builder().namespace(namespace).connect(url).await.unwrap();
        let builder = Repository::<Document>::builder(&cache).strategy(Strategy::RedisOnly);
        builder.build().await
    };
    let namespace = isolate::unique("documents");
    let error = build(&servers::redis_url(), &namespace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("load RedisJSON"), "{error}");
    let plain = Cache::connect(&servers::redis_url()).await.unwrap();
    assert!(!plain.acl_setuser("app", &["documents"]).unwrap().contains("json"));
    // A user who lacks one of the commands, and one who has both by what the library prints.
    let server = servers::redis_json_url();
    let user = users::redis(&server, &namespace, &["documents"], &[]).await;
    build(&user, &namespace).await.unwrap();
    for command in ["json.get", "json.set"] {
        let mut deny = redis::cmd("ACL");
        deny.arg("SETUSER").arg(&namespace).arg(format!("-{command}"));
        let _: () = deny.query_async(&mut raw(&*server).await).await.unwrap();
        let error = build(&user, &namespace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("acl_setuser"), "{error}");
        users::redis(&server, &namespace, &["documents"], &[]).await;
    }
}

/// A script is not rolled back: what refuses a document must come before the journal's record, and before
/// the only copy is removed.
#[tokio::test]
async fn a_document_that_is_refused_changes_nothing() {
    for old in [Format::JsonDoc, Format::Json] {
        let server = servers::redis_json_url();
        let namespace = isolate::unique("documents");
        let url = users::redis(&server, &namespace, &["todos"], &[]).await;
        let cache = Cache::builder().namespace(&*namespace).no_worker();
        let cache = cache.connect(&url).await.unwrap();
        let store = store::memory();
        store.create_tables::<Todo>().await.unwrap();
        let build = async |strategy, format| {
            let builder = Repository::<Todo>::builder(&cache).store(&store).partitions(1);
            builder.strategy(strategy).format(format).build().await.unwrap()
        };
        let behind = build(Strategy::WriteBehind, old).await;
        behind.save(&todo("behind", "old")).await.unwrap();
        let only = build(Strategy::RedisOnly, old).await;
        only.save(&todo("only", "old")).await.unwrap();
        let new = [
            build(Strategy::WriteBehind, Format::JsonDoc).await,
            build(Strategy::RedisOnly, Format::JsonDoc).await,
        ];
        let mut raw = raw(&*server).await;
        let mut deny = redis::cmd("ACL");
        deny.arg("SETUSER").arg(&namespace).arg("-json.set");
        let _: () = deny.query_async(&mut raw).await.unwrap();
        for (repo, id) in new.iter().zip(["behind", "only"]) {
            assert!(repo.save(&todo(id, "new")).await.is_err(), "{old} {id}");
            assert_eq!(name(repo.get(id).await.unwrap()), "old", "{old} {id}");
        }
        assert_eq!(cache.backlog().await.unwrap(), 1, "{old}");
        let mut len = redis::cmd("XLEN");
        len.arg(format!("{namespace}:todos:@journal:0"));
        assert_eq!(len.query_async::<usize>(&mut raw).await.unwrap(), 1, "{old}: one record");
    }
}
