//! A plain connection to Redis, for what only another program would do.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection};

/// What a busy machine never takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that waits where the driver would give up after half a second.
pub async fn raw(url: impl IntoConnectionInfo) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let client = Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}
