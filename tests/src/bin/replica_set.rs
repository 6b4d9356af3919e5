//! Makes a MongoDB server a replica set of one node, which takes no shell: `replica_set PORT`.

// A tool that cannot do its work has nobody to tell but its output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use tests::servers::initiate_replica_set;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let port = port.expect("usage: replica_set PORT");
    let initiated = tokio::time::timeout(STARTED_MAX, initiate_replica_set(port)).await;
    initiated.expect("the server does not become a primary");
}

const STARTED_MAX: Duration = Duration::from_secs(30);
