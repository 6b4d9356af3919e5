//! The backends keep the promises that the cache builds on: one suite over each of them.

use cached_repo::{Cache, backend_conformance};
use tests::{isolate, servers};

#[tokio::test]
async fn the_in_process_backend_conforms() {
    backend_conformance(&Cache::in_memory(), "suite").await;
}

#[tokio::test]
async fn redis_conforms() {
    let builder = Cache::builder().namespace(isolate::unique("backend"));
    backend_conformance(&builder.connect(&servers::redis_url()).await.unwrap(), "suite").await;
}

#[tokio::test]
async fn a_node_in_cluster_mode_conforms() {
    let builder = Cache::builder().namespace(isolate::unique("backend")).accept_cluster();
    let cache = builder.connect(&servers::redis_cluster_url()).await.unwrap();
    backend_conformance(&cache, "suite").await;
}
