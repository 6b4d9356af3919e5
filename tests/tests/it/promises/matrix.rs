//! The matrix of the promises: by default points in which each two of its strategies, formats, stores and
//! caches meet; with the feature `matrix` all of them.

use cached_repo::{Format, Strategy};

use crate::{
    databases::STORES,
    stage::{On, Over, WITH_STORE},
};

/// A strategy, a format, a store and a cache.
pub(super) type Point = (Strategy, Format, On, Over);

/// Makes a test of each promise and point; `run`, which answers the points of each promise; and `all`.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        $(mod $promise {
            matrix!(@strategies $promise
                cache_aside CacheAside, read_through ReadThrough, write_through WriteThrough,
                write_behind WriteBehind);
            matrix!(@without_store $promise redis_only RedisOnly);
        })*

        fn run() -> Vec<(&'static str, Vec<matrix::Point>)> {
            let each = [$((stringify!($promise), [
                $promise::cache_aside::points(), $promise::read_through::points(),
                $promise::write_through::points(), $promise::write_behind::points(),
                $promise::redis_only::points(),
            ])),*];
            each.into_iter().map(|(promise, points)| (promise, points.concat())).collect()
        }

        /// All promises one after the other, each on a stage of its own.
        pub(crate) async fn all(stage: impl AsyncFn() -> Stage) {
            $($promise(stage().await).await;)*
        }
    };
}

macro_rules! matrix {
    (@strategies $promise:ident $($name:ident $strategy:ident),*) => {$(
        pub(super) mod $name {
            #[cfg(not(feature = "matrix"))]
            matrix!(@points $promise $strategy
                json_memory_in_process Json Memory InProcess,
                hash_memory_in_process Hash Memory InProcess,
                json_sqlite_in_process Json Sqlite InProcess,
                hash_sqlite_in_process Hash Sqlite InProcess,
                msgpack_sqlite_in_process Msgpack Sqlite InProcess,
                json_postgres_in_process Json Postgres InProcess,
                hash_postgres_in_process Hash Postgres InProcess,
                json_mysql_in_process Json MySql InProcess,
                hash_mysql_redis Hash MySql Redis,
                msgpack_mysql_in_process Msgpack MySql InProcess,
                json_memory_redis Json Memory Redis,
                hash_memory_redis Hash Memory Redis,
                msgpack_memory_redis Msgpack Memory Redis,
                json_sqlite_redis Json Sqlite Redis,
                hash_sqlite_redis Hash Sqlite Redis,
                json_postgres_redis Json Postgres Redis,
                hash_postgres_redis Hash Postgres Redis,
                msgpack_postgres_redis Msgpack Postgres Redis,
                json_mongo_redis Json Mongo Redis,
                hash_mongo_in_process Hash Mongo InProcess,
                msgpack_mongo_redis Msgpack Mongo Redis,
                json_mongo_standalone_in_process Json MongoStandalone InProcess,
                hash_mongo_standalone_redis Hash MongoStandalone Redis,
                msgpack_mongo_standalone_in_process Msgpack MongoStandalone InProcess,
                document_memory_redis JsonDoc Memory RedisJson,
                document_sqlite_redis JsonDoc Sqlite RedisJson,
                document_postgres_redis JsonDoc Postgres RedisJson,
                document_mysql_in_process JsonDoc MySql InProcess,
                document_mongo_redis JsonDoc Mongo RedisJson,
                document_mongo_standalone_in_process JsonDoc MongoStandalone InProcess);
            #[cfg(feature = "matrix")]
            matrix!(@formats $promise $strategy
                json Json Redis, hash Hash Redis, msgpack Msgpack Redis, document JsonDoc RedisJson);
        }
    )*};
    (@formats $promise:ident $strategy:ident $($name:ident $format:ident $redis:ident),*) => {
        $(mod $name {
            matrix!(@points $promise $strategy
                memory_in_process $format Memory InProcess,
                memory_redis $format Memory $redis,
                sqlite_in_process $format Sqlite InProcess,
                sqlite_redis $format Sqlite $redis,
                postgres_in_process $format Postgres InProcess,
                postgres_redis $format Postgres $redis,
                mysql_in_process $format MySql InProcess,
                mysql_redis $format MySql $redis,
                mongo_in_process $format Mongo InProcess,
                mongo_redis $format Mongo $redis,
                mongo_standalone_in_process $format MongoStandalone InProcess,
                mongo_standalone_redis $format MongoStandalone $redis);
        })*
        pub(in crate::promises) fn points() -> Vec<crate::promises::matrix::Point> {
            [$($name::points()),*].concat()
        }
    };
    (@without_store $promise:ident $name:ident $strategy:ident) => {
        pub(super) mod $name {
            matrix!(@points $promise $strategy
                json_in_process Json Memory InProcess,
                hash_in_process Hash Memory InProcess,
                msgpack_in_process Msgpack Memory InProcess,
                json_redis Json Memory Redis,
                hash_redis Hash Memory Redis,
                msgpack_redis Msgpack Memory Redis,
                document_in_process JsonDoc Memory InProcess,
                document_redis JsonDoc Memory RedisJson);
        }
    };
    (@points $promise:ident $strategy:ident
        $($name:ident $format:ident $on:ident $over:ident),*) => {
        use cached_repo::{Format, Strategy};
        use crate::{promises::matrix::Point, stage::{On, Over, Stage}};
        $(
            #[tokio::test]
            async fn $name() {
                let stage = Stage::new(Strategy::$strategy, Format::$format, On::$on, Over::$over);
                crate::promises::$promise(stage.await).await;
            }
        )*
        pub(in crate::promises) fn points() -> Vec<Point> {
            vec![$((Strategy::$strategy, Format::$format, On::$on, Over::$over)),*]
        }
    };
}

/// With the feature `matrix` that every point of it is run.
#[test]
fn every_pair_of_the_matrix_is_run_by_every_promise() {
    for (promise, points) in super::run() {
        for wanted in product() {
            let same = |(strategy, format, on, over): &Point| {
                let (a, b, c, d) = wanted;
                // Documents want a Redis of their own, which is no other backend.
                let in_process = (*over == Over::InProcess) == (d == Over::InProcess);
                [*strategy == a, *format == b, *on == c, in_process]
            };
            let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
            let is_run = match cfg!(feature = "matrix") {
                true => points.contains(&wanted),
                false => pairs.iter().all(|&(one, other)| {
                    points.iter().map(same).any(|same| same[one] && same[other])
                }),
            };
            assert!(is_run, "{promise} is not run everywhere: {wanted:?}");
        }
    }
}

fn product() -> Vec<Point> {
    let with_store = WITH_STORE.iter().flat_map(|s| STORES.iter().map(move |on| (*s, *on)));
    let places = with_store.chain([(Strategy::RedisOnly, On::Memory)]);
    let mut points = Vec::new();
    for (strategy, on) in places {
        for &format in Format::ALL {
            let overs = [Over::InProcess, Over::redis_of(&[format])];
            points.extend(overs.map(|over| (strategy, format, on, over)));
        }
    }
    points
}
