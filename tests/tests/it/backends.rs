//! The backends keep the promises that the cache builds on: one suite over each of them.

use cached_repo::Cache;
use tests::{isolate, servers};

#[tokio::test]
async fn the_in_process_backend_conforms() {
    Cache::builder().namespace("suite").in_memory().check_conformance().await;
}

#[tokio::test]
async fn redis_conforms() {
    let builder = Cache::builder().namespace(isolate::unique("backend"));
    builder.connect(&servers::redis_url()).await.unwrap().check_conformance().await;
}

#[tokio::test]
async fn redis_without_functions_conforms() {
    let builder = Cache::builder().namespace(isolate::unique("backend")).refuse_functions();
    builder.connect(&servers::redis_url()).await.unwrap().check_conformance().await;
}

#[tokio::test]
async fn a_node_in_cluster_mode_conforms() {
    let builder = Cache::builder().namespace(isolate::unique("backend")).accept_cluster();
    let cache = builder.connect(&servers::redis_cluster_url()).await.unwrap();
    cache.check_conformance().await;
}
