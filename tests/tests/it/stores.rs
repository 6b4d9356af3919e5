//! Every store keeps the contract, and the SQL ones say what went wrong.

use cached_repo::store::{self, conformance};

#[tokio::test]
async fn memory_keeps_the_contract() {
    conformance::run(&store::memory(), "conformance").await;
}

#[tokio::test]
async fn sqlite_in_memory_keeps_the_contract() {
    conformance::run(&store::connect("sqlite::memory:").await.unwrap(), "conformance").await;
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let url = std::env::var("CACHED_REPO_TEST_POSTGRES").unwrap();
    conformance::run(&store::connect(&url).await.unwrap(), "conformance").await;
}
