//! Calls that wait in this process: they say nothing of the server, and are not applied before they are sent.

use super::*;

/// The server answers all of them, and this process has more to do than its timeout is long.
#[tokio::test]
async fn a_server_that_answers_others_first_is_not_taken_for_a_dead_one() {
    let stage = Stage::new(Strategy::CacheAside, Format::Json, On::Memory, Over::Redis).await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let process = stage.process_at(&proxy.url(), Outage::Strict).await;
    let _ = process.save(&todo("1", "a")).await.unwrap();
    assert_eq!(name(process.get("1").await.unwrap()), "a");
    let loads = stage.gate.loads();
    // Each answer arrives in time behind the one before, and the last one long after the timeout.
    let calls = (0..5_000).map(|_| process.get("1"));
    let found = futures_util::future::join_all(calls).await;
    for found in found {
        assert_eq!(name(found.unwrap()), "a");
    }
    assert_eq!((process.counts().cache_failures, stage.gate.loads()), (0, loads));
    // As where other work keeps the runtime from looking at what has arrived.
    let repo = process.clone();
    let reading = tokio::spawn(async move { repo.get("1").await });
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(name(reading.await.unwrap().unwrap()), "a");
    assert_eq!(process.counts().cache_failures, 0);
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_not_applied() {
    for strategy in [Strategy::WriteBehind, Strategy::RedisOnly] {
        let stage = Stage::new(strategy, Format::Json, On::Memory, Over::Redis).await;
        let proxy = Proxy::start(servers::redis_url()).await;
        let process = stage.process_at(&proxy.url(), Outage::Available).await;
        let _ = process.save(&todo("1", "a")).await.unwrap();
        proxy.set(Mode::Refuse);
        proxy.cut();
        // The first call may have been on its way; those that follow find no connection.
        let _ = process.save(&todo("1", "b")).await;
        let error = process.save(&todo("1", "c")).await.unwrap_err();
        assert_eq!(
            (error.outcome(), error.is_retryable()),
            (Outcome::NotApplied, true),
            "{strategy}: {error}"
        );
    }
}
