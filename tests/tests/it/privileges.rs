//! What users may do who run the library, and what they may not.

use std::sync::Arc;

use cached_repo::{Cache, CachedEntity, ErrorKind, store};
use mongodb::bson::doc;
use tests::{isolate, secured::SecuredMongoDb, servers};

use crate::{
    promises,
    stage::{On, Over, Stage, Todo, name, open, todo},
    users::{self, CANARY},
};
use cached_repo::{
    Format, Strategy,
    store::{Class, Ledger, conformance},
};

#[tokio::test]
async fn a_user_of_redis_may_use_its_own_keys_and_nothing_else() {
    let server = servers::redis_url();
    let namespace = isolate::unique("acl");
    let url = users::redis(&server, &namespace, &["todos"], &[]).await;
    let mut connection = tests::raw(url).await;
    let (own, entry) = (format!("{namespace}:todos:1"), format!("{namespace}:notes:1"));
    let foreign: &[&str] = &["todos:1", &entry, &namespace, "elsewhere:todos:1"];
    let script = "return redis.call('GET', ARGV[1])";
    let sha: String =
        redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut connection).await.unwrap();
    let mut commands: Vec<Vec<&str>> = [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["CONFIG", "SET", "maxmemory", "0"],
        &["CONFIG", "GET", "requirepass"],
        &["KEYS", "*"],
        &["SCAN", "0"],
        &["EVAL", "return redis.call('FLUSHALL')", "0"],
        &["SCRIPT", "FLUSH"],
        &["FUNCTION", "FLUSH"],
        &["FUNCTION", "DELETE", "x"],
        &["ACL", "LIST"],
        &["SHUTDOWN"],
        &["REPLICAOF", "NO", "ONE"],
        &["MONITOR"],
        &["PUBLISH", "x", "y"],
        &["CLIENT", "LIST"],
    ]
    .map(<[&str]>::to_vec)
    .to_vec();
    for key in foreign {
        commands.push(vec!["GET", key]);
        commands.push(vec!["SET", key, "x"]);
        commands.push(vec!["EVALSHA", &sha, "0", key]);
    }
    let mut own_read = redis::cmd("GET");
    own_read.arg(&own).query_async::<Option<String>>(&mut connection).await.unwrap();
    for words in commands {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer = command.query_async::<redis::Value>(&mut connection).await;
        let error = answer.expect_err(&format!("{words:?} is allowed")).to_string();
        let refused =
            ["NOPERM", "permission", "can't access", "unallowed", "can't run this command"];
        assert!(refused.iter().any(|word| error.contains(word)), "{words:?}: {error}");
    }
}

#[tokio::test]
async fn an_acl_is_for_a_server_and_for_names() {
    let cache = Cache::builder().namespace("app").in_memory();
    let error = cache.acl_setuser("app", &["todos"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let cache = Cache::builder().namespace("app").connect(&servers::redis_url()).await.unwrap();
    for (user, prefix) in [("a b", "todos"), ("app", "to*dos"), ("", "todos")] {
        let error = cache.acl_setuser(user, &[prefix]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
    let line = cache.acl_setuser("app", &["todos", "notes"]).unwrap();
    let keys = "-@all ~app:@backlog ~app:notes:* ~app:todos:* +";
    assert!(line.starts_with("ACL SETUSER app on resetkeys resetchannels "), "{line}");
    assert!(line.contains(keys), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_makes_no_tables_keeps_the_contract() {
    for on in [On::Postgres, On::MySql] {
        let (store, _) = open(on).await;
        // Tables of this run, which are granted one by one.
        conformance::run(&store, &isolate::unique("role").replace('-', "_")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_mongodb_that_makes_no_collections_keeps_the_contract_and_the_promises() {
    for standalone in [false, true] {
        let server = Arc::new(SecuredMongoDb::start(!standalone).await);
        let [store, owner] = users::mongodb(server.clone(), standalone).await;
        let error = store.describe(&Todo::SCHEMA).await.unwrap_err();
        assert_eq!(error.class(), Class::Systemic, "nothing is granted: {error}");
        conformance::run(&store, "contract").await;
        for strategy in [Strategy::WriteThrough, Strategy::WriteBehind] {
            promises::all(async || {
                let (store, over) = (store.clone(), Over::InProcess);
                Stage::with(store, strategy, Format::Json, On::Mongo, over).await
            })
            .await;
        }
        let grants = owner.grant_sql::<Todo>("app").await.unwrap();
        let lines: Vec<_> = grants.lines().collect();
        assert_eq!(lines.len(), 6, "the database, the entity, the library's own: {grants}");
        let head = "db.grantPrivilegesToRole(\"app\", [{ \"resource\": { \"db\": \"app\", ";
        assert!(
            lines.iter().all(|line| line.starts_with(head) && line.ends_with("]);")),
            "{grants}"
        );
        assert!(grants.matches("remove").count() == 1 && !grants.contains("create"), "{grants}");

        // Not a right more than is granted.
        let role = server.url(&format!("{}:{CANARY}", users::ROLE));
        let client = mongodb::Client::with_uri_str(role).await.unwrap();
        let database = client.database("app");
        for command in [
            doc! { "create": "another" },
            doc! { "drop": "cached_repo_offsets" },
            doc! { "delete": "cached_repo_offsets", "deletes": [{ "q": {}, "limit": 0 }] },
            doc! { "find": "another" },
            doc! { "createIndexes": "cached_repo_meta", "indexes": [{ "key": { "x": 1 }, "name": "x" }] },
        ] {
            let error = database.run_command(command.clone()).await.unwrap_err().to_string();
            assert!(error.contains("not authorized"), "{command}: {error}");
        }
    }
}

#[tokio::test]
async fn a_role_that_makes_no_tables_is_told_what_is_missing() {
    for (on, url, account) in [
        (On::Postgres, servers::postgres_url(), "app"),
        (On::MySql, servers::mysql_url(), "'app'@'%'"),
    ] {
        let (store, _) = open(on).await;
        let grants = store.grant_sql::<Todo>(account).await.unwrap();
        assert!(grants.lines().all(|line| line.ends_with(&format!(" TO {account};"))), "{grants}");
        for table in ["todos", "cached_repo_offsets", "cached_repo_dead_letters"] {
            assert!(grants.contains(table), "{grants}");
        }
        assert!(!grants.contains("CREATE") && !grants.contains("ALL"), "{grants}");

        let role = store::connect(&users::log_in(&url, users::ROLE)).await.unwrap();
        let table = isolate::unique("nowhere").replace('-', "_");
        let schema = Todo::SCHEMA.with_table(table.clone());
        let error = role.ledger(Ledger::Install { schema: &schema }).await.unwrap_err();
        assert_eq!(error.class(), Class::Systemic, "{error}");
        assert!(!format!("{error} {error:?}").contains(CANARY));
        let missing = role.describe(&schema).await.unwrap().missing.join(" ");
        assert!(missing.contains(&table), "{missing}");
    }
    for store in [store::memory(), store::connect("sqlite::memory:").await.unwrap()] {
        let error = store.grant_sql::<Todo>("app").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
}

#[tokio::test]
async fn no_password_is_shown() {
    let stage = Stage::new(Strategy::WriteBehind, Format::Json, On::Postgres, Over::Redis).await;
    stage.repo.save(&todo("1", "one")).await.unwrap().persisted().await.unwrap();
    assert_eq!(name(stage.repo.get("1").await.unwrap()), "one");
    let shown = format!("{:?} {:?} {:?}", stage.repo, stage.cache(), stage.gate);
    assert!(!shown.contains(CANARY), "{shown}");
    // A password that is not right, in a URL that is.
    let wrong = |url: &str| users::log_in(url, "nobody");
    for url in [servers::redis_url(), servers::redis_url().replace("redis:", "rediss:")] {
        let error = Cache::connect(&wrong(&url)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
    for (server, database) in [
        (servers::mysql_url(), ""),
        (servers::mongodb_url(), "/app"),
        (servers::postgres_url(), "_not_there"),
    ] {
        let error = store::connect(&format!("{}{database}", wrong(&server))).await.unwrap_err();
        let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!text.contains(CANARY), "{text}");
    }
    // One that cannot be read.
    for scheme in ["redis", "postgres", "mysql", "mongodb"] {
        for rest in ["@host:port/app", "@[::bad/app", "/@host/app", "#@host/app", "%zz@host/app"] {
            let url = format!("{scheme}://user:{CANARY}{rest}");
            let text = match scheme {
                "redis" => Cache::connect(&url).await.err().map(|e| format!("{e} {e:?}")),
                _ => store::connect(&url).await.err().map(|e| format!("{e} {e:?}")),
            };
            assert!(text.is_some_and(|text| !text.contains(CANARY)), "{scheme} {rest}");
        }
    }
}
