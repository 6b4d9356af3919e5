//! Redis as a backend: the only place that says `redis::`.

use std::{collections::HashMap, time::Duration};

use futures_util::future::try_join_all;
use redis::{FromRedisValue, Script, Value, from_redis_value};

use crate::{
    backend::{
        Backend, Begin, CacheError, End, Fill, Lease, LeaseAsk, Put, PutReply, Reply, Seen, Server,
        journal,
    },
    clock::{Clock, Random},
    codec::Format,
    error::{Error, Result},
    key::{Keyspace, Slot, Topology},
};

mod connection;
mod entries;
mod scripts;

use connection::Connection;
use scripts::{Call, Scripts};

/// Older servers lack commands that the scripts use.
const VERSION_MIN: (u32, u32) = (6, 2);

/// A Redis server.
#[derive(Debug)]
pub(crate) struct RedisBackend {
    connection: Connection,
    scripts: Scripts,
    topology: Topology,
}

impl RedisBackend {
    /// Connects, and looks whether the server is one that this crate can use.
    pub(crate) async fn connect(
        url: &str,
        timeout: Duration,
        connect_timeout: Duration,
        accept_cluster: bool,
        (clock, random): (Clock, Random),
    ) -> Result<Self> {
        let connection = Connection::new(url, timeout, connect_timeout, clock, random)?;
        let mut backend =
            Self { connection, scripts: Scripts::new(), topology: Topology::Standalone };
        backend.connection.open().await.map_err(CacheError::into_error)?;
        let facts = backend.info().await.map_err(CacheError::into_error)?;
        let version = facts.get("redis_version").map_or("", String::as_str);
        if parse_version(version).is_some_and(|found| found < VERSION_MIN) {
            return Err(Error::configuration(format!(
                "Redis {version} is too old: use 6.2 or newer"
            )));
        }
        if facts.get("cluster_enabled").is_some_and(|enabled| enabled == "1") {
            if !accept_cluster {
                return Err(Error::configuration(
                    "this server is in cluster mode, which is not built yet: use a standalone one",
                ));
            }
            backend.topology = Topology::Cluster;
        }
        Ok(backend)
    }

    /// The server's own description of itself.
    async fn info(&self) -> Result<HashMap<String, String>, CacheError> {
        let text: String = self.connection.command(&redis::cmd("INFO")).await?;
        let line = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    async fn run<T: FromRedisValue>(&self, script: &Script, call: &Call) -> Result<T, CacheError> {
        self.connection.script(script, &call.keys, &call.arguments).await
    }
}

/// Major and minor version, where the text has them.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What `TYPE` answers for an entry of this format.
fn key_type(format: Format) -> &'static str {
    match format {
        Format::Json => "string",
        Format::Hash => "hash",
    }
}

/// A script answered what its header does not list: another release's script under the same name is
/// impossible (scripts run by hash), so this is a server that is not Redis.
fn unexpected(what: &str) -> CacheError {
    CacheError::answered(format!("the script `{what}` answered something unexpected"))
}

impl Backend for RedisBackend {
    fn read<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        slots: &'a [Slot],
    ) -> Reply<'a, Vec<Seen>> {
        Box::pin(async move {
            match self.topology {
                Topology::Standalone => entries::read(&self.connection, keys, format, slots).await,
                // One command must stay in one slot of the cluster.
                Topology::Cluster => {
                    let reads = slots
                        .chunks(1)
                        .map(|one| entries::read(&self.connection, keys, format, one));
                    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
                }
            }
        })
    }

    fn lease<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        asks: &'a [LeaseAsk<'a>],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Vec<Lease>> {
        Box::pin(async move {
            let Some(first) = asks.first() else { return Ok(Vec::new()) };
            let mut call = Call::default();
            call.key(keys.generation(first.slot.partition));
            call.argument(token).argument(hold.as_millis()).argument(key_type(format));
            for LeaseAsk { slot, replace } in asks {
                call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
                call.argument(u8::from(*replace));
            }
            let answers: Vec<String> = self.run(&self.scripts.lease, &call).await?;
            let generation = answers.first().and_then(|text| text.parse().ok());
            let generation = generation.ok_or_else(|| unexpected("lease"))?;
            let lease = |answer: &String| match answer.as_str() {
                "granted" => Ok(Lease::Granted { generation }),
                "held" => Ok(Lease::Held),
                "blocked" => Ok(Lease::Blocked),
                "present" => Ok(Lease::Present),
                _ => Err(unexpected("lease")),
            };
            answers.iter().skip(1).map(lease).collect()
        })
    }

    fn fill<'a>(
        &'a self,
        keys: &'a Keyspace,
        fills: &'a [Fill<'a>],
        token: &'a str,
    ) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let Some(first) = fills.first() else { return Ok(Vec::new()) };
            let mut call = Call::default();
            call.key(keys.generation(first.slot.partition)).argument(token);
            for Fill { slot, generation, content } in fills {
                call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
                call.argument(generation).content(content.as_ref());
            }
            self.run(&self.scripts.fill, &call).await
        })
    }

    fn begin<'a>(
        &'a self,
        keys: &'a Keyspace,
        slots: &'a [Slot],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Begin> {
        Box::pin(async move {
            let Some(first) = slots.first() else {
                return Ok(Begin::Begun { epoch: 0, generation: 0 });
            };
            let mut call = Call::default();
            call.key(keys.meta(first.partition)).key(keys.generation(first.partition));
            call.argument(token).argument(hold.as_millis());
            for slot in slots {
                call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
            }
            let answer: Vec<String> = self.run(&self.scripts.begin, &call).await?;
            let number = |i: usize| {
                answer.get(i).and_then(|n| n.parse().ok()).ok_or_else(|| unexpected("begin"))
            };
            match answer.first().map(String::as_str) {
                Some("begun") => Ok(Begin::Begun { epoch: number(1)?, generation: number(2)? }),
                Some("fenced") => Ok(Begin::Fenced),
                Some("dirty") => Ok(Begin::Dirty(number(1)? as usize)),
                Some("kept") => Ok(Begin::Kept(number(1)? as usize)),
                _ => Err(unexpected("begin")),
            }
        })
    }

    fn end<'a>(&'a self, keys: &'a Keyspace, ends: &'a [End<'a>]) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let Some(first) = ends.first() else { return Ok(Vec::new()) };
            let mut call = Call::default();
            let partition = first.slot.partition;
            call.key(keys.meta(partition)).key(keys.generation(partition));
            for End { slot, token, epoch, generation, content } in ends {
                call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
                call.argument(token).argument(epoch).argument(generation).content(content.as_ref());
            }
            self.run(&self.scripts.end, &call).await
        })
    }

    fn put<'a>(&'a self, keys: &'a Keyspace, puts: &'a [Put<'a>]) -> Reply<'a, PutReply> {
        Box::pin(async move {
            let Some(first) = puts.first() else { return Ok(PutReply::Written(Vec::new())) };
            let mut call = Call::default();
            call.key(keys.meta(first.slot.partition)).key(keys.generation(first.slot.partition));
            for Put { slot, content } in puts {
                call.key(&slot.entry).key(keys.lease(slot)).content(content.as_ref());
            }
            let answer: Vec<String> = self.run(&self.scripts.put, &call).await?;
            let numbers: Option<Vec<u64>> = answer.iter().skip(1).map(|n| n.parse().ok()).collect();
            match (answer.first().map(String::as_str), numbers) {
                (Some("written"), Some(versions)) => Ok(PutReply::Written(versions)),
                (Some("dirty"), Some(index)) if index.len() == 1 => {
                    Ok(PutReply::Dirty(index[0] as usize))
                }
                _ => Err(unexpected("put")),
            }
        })
    }

    fn evict<'a>(&'a self, keys: &'a Keyspace, slots: &'a [Slot]) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let mut call = Call::default();
            for slot in slots {
                call.key(&slot.entry).key(keys.lease(slot));
            }
            self.run(&self.scripts.evict, &call).await
        })
    }

    fn register<'a>(
        &'a self,
        keys: &'a Keyspace,
        facts: &'a [(&'static str, String)],
    ) -> Reply<'a, Vec<String>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.registry());
            for (name, value) in facts {
                call.argument(name).argument(value);
            }
            self.run(&self.scripts.register, &call).await
        })
    }

    fn server(&self) -> Reply<'_, Server> {
        Box::pin(async move {
            let mut facts = self.info().await?;
            let mut take = |name: &str| facts.remove(name).unwrap_or_default();
            Ok(Server {
                version: take("redis_version"),
                eviction_policy: take("maxmemory_policy"),
                ..Server::default()
            })
        })
    }

    fn topology(&self) -> Topology {
        self.topology
    }

    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: crate::codec::Raw) -> Reply<'a, ()> {
        Box::pin(entries::plant(&self.connection, key, raw))
    }

    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        meta: crate::backend::Meta,
    ) -> Reply<'a, ()> {
        use crate::backend::Meta;
        let mut command = match meta {
            Meta::Generation(_) => redis::cmd("SET"),
            Meta::Home(_) | Meta::Epoch(_) => redis::cmd("HSET"),
        };
        match meta {
            Meta::Home(home) => command.arg(keys.meta(partition)).arg("home").arg(home),
            Meta::Epoch(epoch) => command.arg(keys.meta(partition)).arg("epoch").arg(epoch),
            Meta::Generation(generation) => command.arg(keys.generation(partition)).arg(generation),
        };
        Box::pin(async move {
            let _: Value = self.connection.command(&command).await?;
            Ok(())
        })
    }

    #[cfg(feature = "conformance")]
    fn incident<'a>(
        &'a self,
        keys: &'a Keyspace,
        incident: crate::backend::Incident,
    ) -> Reply<'a, ()> {
        let _ = (keys, incident);
        unbuilt()
    }
}

/// Reads one value out of an answer; a server that is not Redis may answer anything.
fn convert<T: FromRedisValue>(value: Value) -> Result<T, CacheError> {
    from_redis_value(value)
        .map_err(|_| CacheError::answered("Redis answered a value of another type than expected"))
}

impl crate::backend::JournalBackend for RedisBackend {
    fn append<'a>(
        &'a self,
        _: &'a Keyspace,
        _: journal::Append<'a>,
    ) -> Reply<'a, journal::Appended> {
        unbuilt()
    }
    fn meta<'a>(&'a self, _: &'a Keyspace, _: u32) -> Reply<'a, journal::Meta> {
        unbuilt()
    }
    fn backlog<'a>(&'a self, _: &'a Keyspace) -> Reply<'a, Vec<(String, u32, u64)>> {
        unbuilt()
    }
    fn claim<'a>(
        &'a self,
        _: &'a Keyspace,
        _: u32,
        _: &'a str,
        _: Duration,
    ) -> Reply<'a, Option<journal::Meta>> {
        unbuilt()
    }
    fn release<'a>(&'a self, _: &'a Keyspace, _: u32, _: &'a str) -> Reply<'a, ()> {
        unbuilt()
    }
    fn records<'a>(
        &'a self,
        _: &'a Keyspace,
        _: u32,
        _: u64,
        _: usize,
        _: usize,
    ) -> Reply<'a, Vec<journal::JournalRecord>> {
        unbuilt()
    }
    fn acknowledge<'a>(
        &'a self,
        _: &'a Keyspace,
        _: journal::Acknowledgement<'a>,
    ) -> Reply<'a, journal::Acknowledged> {
        unbuilt()
    }
    fn ticket<'a>(&'a self, _: &'a Keyspace, _: u32, _: &'a str) -> Reply<'a, journal::Meta> {
        unbuilt()
    }
    fn repair<'a>(
        &'a self,
        _: &'a Keyspace,
        _: journal::Repair<'a>,
    ) -> Reply<'a, journal::Repaired> {
        unbuilt()
    }
    fn seal<'a>(&'a self, _: &'a Keyspace, _: u32, _: u64) -> Reply<'a, Option<u64>> {
        unbuilt()
    }
}
fn unbuilt<'a, T: Send + 'a>() -> Reply<'a, T> {
    Box::pin(std::future::ready(Err(CacheError::answered("not built"))))
}
