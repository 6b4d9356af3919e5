//! Redis servers that hold documents.

use std::{collections::HashMap, path::Path};

use redis::{Value, from_redis_value_ref};

use crate::servers::{PrivateRedis, from_environment};

/// The URL of the Redis server with RedisJSON that all tests share.
pub fn redis_json_url() -> String {
    from_environment("CACHED_REPO_TEST_REDIS_JSON")
}

impl PrivateRedis {
    /// Starts one that holds documents.
    pub async fn start_with_json(arguments: &[&str]) -> Self {
        let module = module().await;
        Self::start(&[&["--loadmodule", &module], arguments].concat()).await
    }
}

/// The file from which the server of all tests has loaded its module.
async fn module() -> String {
    let mut connection = crate::raw(redis_json_url()).await;
    let listing = redis::cmd("MODULE").arg("LIST").query_async(&mut connection).await;
    let modules: Vec<HashMap<String, Value>> = listing.unwrap();
    let paths = modules.iter().filter_map(|module| from_redis_value_ref(module.get("path")?).ok());
    let path = paths.into_iter().find(|path: &String| Path::new(path).exists());
    path.expect(
        "the server of CACHED_REPO_TEST_REDIS_JSON has its module from a file of this machine",
    )
}
