//! The backends keep the promises that the cache builds on: one suite over each of them.

use std::{sync::Arc, time::Duration};

use cached_repo::{Cache, CacheBuilder};
use tests::{isolate, servers, servers::PrivateRedis};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{
        Semaphore,
        mpsc::{UnboundedSender, unbounded_channel},
    },
};

/// What the suite asks is answered, but maybe not at once: the machine may be busy.
fn patient(namespace: impl Into<String>) -> CacheBuilder {
    let longest = Duration::from_secs(30);
    Cache::builder().namespace(namespace).timeout(longest).connect_timeout(longest)
}

#[tokio::test]
async fn the_in_process_backend_conforms() {
    patient("suite").in_memory().check_conformance().await;
}

#[tokio::test]
async fn redis_conforms() {
    let builder = patient(isolate::unique("backend"));
    builder.connect(&servers::redis_url()).await.unwrap().check_conformance().await;
}

#[tokio::test]
async fn redis_without_functions_conforms() {
    let builder = patient(isolate::unique("backend")).refuse_functions();
    builder.connect(&servers::redis_url()).await.unwrap().check_conformance().await;
}

#[tokio::test]
async fn redis_with_documents_conforms() {
    for functions in [true, false] {
        let builder = patient(isolate::unique("backend"));
        let builder = if functions { builder } else { builder.refuse_functions() };
        let cache = builder.connect(&servers::redis_json_url()).await.unwrap();
        cache.check_conformance().await;
    }
}

#[tokio::test]
async fn a_node_in_cluster_mode_conforms() {
    for functions in [true, false] {
        let builder = patient(isolate::unique("backend")).accept_cluster();
        let builder = if functions { builder } else { builder.refuse_functions() };
        let cache = builder.connect(&servers::redis_cluster_url()).await.unwrap();
        cache.check_conformance().await;
    }
}

#[tokio::test]
async fn redis_conforms_when_it_refuses() {
    let server = PrivateRedis::start(&[]).await;
    let builder = patient("a");
    builder.connect(&server.url()).await.unwrap().check_conformance_in_trouble().await;
    let builder = patient("b").refuse_functions();
    builder.connect(&server.url()).await.unwrap().check_conformance_in_trouble().await;
}

/// One asks for all who came meanwhile, and may be gone before it is answered.
#[tokio::test]
async fn who_waits_for_a_confirmation_gets_one_whoever_else_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let ((comes, came), answers) = (unbounded_channel(), Arc::new(Semaphore::new(0)));
    let may_answer = Arc::clone(&answers);
    let serving = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        serve_waits(client, comes, may_answer).await;
    });
    Cache::check_conformance_of_waiting(&url, came, answers).await;
    serving.abort();
}

/// A server that knows WAIT, and answers it when it may. The commands behind it wait as well.
async fn serve_waits(client: TcpStream, comes: UnboundedSender<()>, answers: Arc<Semaphore>) {
    let (reading, mut writing) = client.into_split();
    let mut lines = BufReader::new(reading).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // An array: a length and a text for each word.
        let words = line.strip_prefix('*').unwrap().parse().unwrap();
        let mut name = String::new();
        for word in 0..words {
            lines.next_line().await.unwrap();
            let text = lines.next_line().await.unwrap().unwrap();
            if word == 0 {
                name = text;
            }
        }
        if name == "WAIT" {
            comes.send(()).unwrap();
            answers.acquire().await.unwrap().forget();
        }
        let answer: &[u8] = if name == "WAIT" { b":1\r\n" } else { b"+OK\r\n" };
        writing.write_all(answer).await.unwrap();
    }
}

#[tokio::test]
async fn functions_and_scripts_that_are_flushed_are_loaded_again() {
    for functions in [true, false] {
        let server = PrivateRedis::start(&[]).await;
        let builder = patient("flushed");
        let builder = if functions { builder } else { builder.refuse_functions() };
        let cache = builder.connect(&server.url()).await.unwrap();
        let mut other = Other::connect(&server.url()).await;
        for _ in 0..2 {
            cache.check_conformance().await;
            other.ask(&["FUNCTION", "FLUSH"]).await;
            other.ask(&["SCRIPT", "FLUSH"]).await;
            other.ask(&["FLUSHALL"]).await;
        }
        assert_eq!(other.used().await, if functions { ["fcall"] } else { ["evalsha"] });
    }
}

#[tokio::test]
async fn a_client_that_may_not_use_functions_runs_scripts() {
    for lacking in ["-fcall", "-function"] {
        let server = PrivateRedis::start(&[]).await;
        let mut other = Other::connect(&server.url()).await;
        other.ask(&["ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", lacking]).await;
        let url = server.url().replace("://", "://u:p@");
        let builder = patient("lacking");
        builder.connect(&url).await.unwrap().check_conformance().await;
        assert!(other.used().await.contains(&"evalsha"), "{lacking}");
    }
}

/// Another client of the server.
struct Other(redis::aio::MultiplexedConnection);

impl Other {
    async fn connect(url: &str) -> Self {
        Self(tests::raw(url).await)
    }

    async fn ask(&mut self, words: &[&str]) -> String {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut self.0).await.unwrap()
    }

    /// The commands by which clients ran scripts successfully.
    async fn used(&mut self) -> Vec<&'static str> {
        let statistics = self.ask(&["INFO", "commandstats"]).await;
        let is_used = |name: &&str| {
            let line = statistics.lines().find(|line| line.contains(&format!("cmdstat_{name}:")));
            // A command that permission is lacking for is rejected, not called.
            line.is_some_and(|line| !line.contains(":calls=0,"))
        };
        ["fcall", "evalsha"].into_iter().filter(is_used).collect()
    }
}
