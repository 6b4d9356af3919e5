//! The other side: what people write on the drivers themselves, without a thought for races.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use redis::{
    Client, IntoConnectionInfo, Pipeline, aio::MultiplexedConnection, cmd, io::tcp::TcpSettings,
};
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgPoolOptions};
use tests::servers;

use super::{Article, MANY, ROWS, TABLE, id, rounds::Operation};

const TTL_S: u64 = 3600;
/// As many as the library opens.
const CONNECTIONS_MAX: u32 = 16;
const CHUNK: usize = 1000;

/// The drivers, and what is prepared once.
#[derive(Clone)]
pub(crate) struct ByHand {
    namespace: Arc<str>,
    redis: MultiplexedConnection,
    pool: PgPool,
    sql: Arc<Sql>,
}

struct Sql {
    select: String,
    upsert: String,
    upsert_many: String,
}

/// What people write for an atomic write-behind save.
const JOURNAL: &str = "redis.call('SET', KEYS[1], ARGV[1]) \
    return redis.call('XADD', KEYS[2], '*', 'data', ARGV[1])";

impl ByHand {
    /// Copies the table of the other side, and caches all of it.
    pub(crate) async fn prepare(namespace: &str) -> Self {
        let info = servers::redis_url().into_connection_info().unwrap();
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).test_before_acquire(false);
        let pool = pool.connect(&servers::postgres_url()).await.unwrap();
        let table = format!("{TABLE}_by_hand");
        for sql in [
            format!("DROP TABLE IF EXISTS {table}"),
            format!("CREATE TABLE {table} (LIKE {TABLE} INCLUDING ALL)"),
            format!("INSERT INTO {table} SELECT * FROM {TABLE}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        }
        let sql = Arc::new(Sql::new(&table));
        let by_hand = Self { namespace: namespace.into(), redis, pool, sql };
        let articles: Vec<_> = (0..ROWS).map(|n| Article::new(n, 0)).collect();
        for chunk in articles.chunks(CHUNK) {
            join_all(chunk.iter().map(|article| by_hand.clone().fill(article))).await;
        }
        by_hand
    }

    /// Removes what both sides left on the servers.
    pub(crate) async fn clean_up(&self) {
        let pattern = format!("{}*", self.namespace);
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(CHUNK);
            let (next, keys): (u64, Vec<String>) =
                scan.query_async(&mut self.redis.clone()).await.unwrap();
            unlink(&mut self.redis.clone(), &keys).await;
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let sql = format!("DROP TABLE {TABLE}, {TABLE}_by_hand");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    pub(crate) fn get(&self) -> Operation {
        self.operation(|mut hand, n| {
            Box::pin(async move {
                let found: Option<Vec<u8>> =
                    cmd("GET").arg(hand.key(n)).query_async(&mut hand.redis).await.unwrap();
                let found = found.map(|json| serde_json::from_slice::<Article>(&json).unwrap());
                if found.is_none() {
                    let article = hand.load(n).await;
                    hand.fill(&article).await;
                }
            })
        })
    }

    pub(crate) fn get_many(&self) -> Operation {
        self.operation(|mut hand, n| {
            Box::pin(async move {
                let mut get = cmd("MGET");
                for n in n * MANY..(n + 1) * MANY {
                    get.arg(hand.key(n));
                }
                let found: Vec<Vec<u8>> = get.query_async(&mut hand.redis).await.unwrap();
                for json in found {
                    serde_json::from_slice::<Article>(&json).unwrap();
                }
            })
        })
    }

    pub(crate) fn save_and_set(&self) -> Operation {
        self.operation(|hand, n| {
            Box::pin(async move {
                let article = Article::new(n, 1);
                hand.upsert(&article).await;
                hand.fill(&article).await;
            })
        })
    }

    pub(crate) fn save_and_delete(&self) -> Operation {
        self.operation(|mut hand, n| {
            Box::pin(async move {
                hand.upsert(&Article::new(n, 1)).await;
                let _: u64 =
                    cmd("DEL").arg(hand.key(n)).query_async(&mut hand.redis).await.unwrap();
            })
        })
    }

    pub(crate) fn set(&self) -> Operation {
        self.operation(|mut hand, n| {
            Box::pin(async move {
                let json = serde_json::to_vec(&Article::new(n, 1)).unwrap();
                let mut set = cmd("SET");
                set.arg(hand.key(n)).arg(json);
                let () = set.query_async(&mut hand.redis).await.unwrap();
            })
        })
    }

    pub(crate) fn journal(&self) -> Operation {
        let script = Arc::new(redis::Script::new(JOURNAL));
        let hand = self.clone();
        Arc::new(move |n| {
            let (mut hand, script) = (hand.clone(), Arc::clone(&script));
            Box::pin(async move {
                let json = serde_json::to_vec(&Article::new(n, 1)).unwrap();
                let stream = format!("{}:journal", hand.namespace);
                let mut call = script.key(hand.key(n));
                let call = call.key(stream).arg(json);
                let _: String = call.invoke_async(&mut hand.redis).await.unwrap();
            })
        })
    }

    /// Makes all gets miss: these keys go, and all of this side.
    pub(crate) fn forget(&self, mut keys: Vec<String>) -> Operation {
        keys.extend((0..ROWS).map(|n| self.key(n)));
        let (keys, redis) = (Arc::new(keys), self.redis.clone());
        Arc::new(move |_| {
            let (keys, mut redis) = (Arc::clone(&keys), redis.clone());
            Box::pin(async move { unlink(&mut redis, &keys).await })
        })
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn redis(&self) -> MultiplexedConnection {
        self.redis.clone()
    }

    pub(crate) async fn upsert_many(&self, articles: &[Article]) {
        let column = |of: fn(&Article) -> &str| articles.iter().map(of).collect::<Vec<_>>();
        let query = sqlx::query(AssertSqlSafe(self.sql.upsert_many.clone()));
        let query = query.bind(column(|a| &a.id)).bind(column(|a| &a.title));
        let query = query.bind(articles.iter().map(|a| a.body.clone()).collect::<Vec<_>>());
        let query = query.bind(articles.iter().map(|a| a.words).collect::<Vec<_>>());
        let query = query.bind(articles.iter().map(|a| a.score).collect::<Vec<_>>());
        let query = query.bind(articles.iter().map(|a| a.published).collect::<Vec<_>>());
        query.execute(&self.pool).await.unwrap();
    }

    async fn load(&self, n: u64) -> Article {
        let query = sqlx::query(AssertSqlSafe(self.sql.select.clone())).bind(id(n));
        let row = query.fetch_one(&self.pool).await.unwrap();
        Article {
            id: row.get(0),
            title: row.get(1),
            body: row.get(2),
            words: row.get(3),
            score: row.get(4),
            published: row.get(5),
        }
    }

    async fn upsert(&self, article: &Article) {
        let query = sqlx::query(AssertSqlSafe(self.sql.upsert.clone()));
        let query = query.bind(&article.id).bind(&article.title).bind(&article.body);
        let query = query.bind(article.words).bind(article.score).bind(article.published);
        query.execute(&self.pool).await.unwrap();
    }

    async fn fill(mut self, article: &Article) {
        let json = serde_json::to_vec(article).unwrap();
        let key = format!("{}:{}", self.namespace, article.id);
        let mut set = cmd("SET");
        set.arg(key).arg(json).arg("EX").arg(TTL_S);
        let () = set.query_async(&mut self.redis).await.unwrap();
    }

    fn key(&self, n: u64) -> String {
        format!("{}:{}", self.namespace, id(n))
    }

    fn operation(&self, operation: fn(ByHand, u64) -> BoxFuture<'static, ()>) -> Operation {
        let hand = self.clone();
        Arc::new(move |n| operation(hand.clone(), n))
    }
}

impl Sql {
    fn new(table: &str) -> Self {
        const COLUMNS: &str = "id, title, body, words, score, published";
        const UPDATE: &str = "ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title, \
             body = EXCLUDED.body, words = EXCLUDED.words, score = EXCLUDED.score, \
             published = EXCLUDED.published";
        const ARRAYS: &str =
            "$1::text[], $2::text[], $3::text[], $4::int8[], $5::float8[], $6::bool[]";
        Self {
            select: format!("SELECT {COLUMNS} FROM {table} WHERE id = $1"),
            upsert: format!(
                "INSERT INTO {table} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) {UPDATE}"
            ),
            upsert_many: format!(
                "INSERT INTO {table} ({COLUMNS}) SELECT * FROM UNNEST({ARRAYS}) {UPDATE}"
            ),
        }
    }
}

async fn unlink(redis: &mut MultiplexedConnection, keys: &[String]) {
    for chunk in keys.chunks(CHUNK) {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("UNLINK").arg(chunk).ignore();
        let () = pipeline.query_async(redis).await.unwrap();
    }
}
