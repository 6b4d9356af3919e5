//! Redis as a backend: the only place that says `redis::`.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{FromRedisValue, Value, from_redis_value};

use crate::{
    backend::{
        Backend, Begin, CacheError, Documents, End, Fill, Lease, LeaseAsk, Put, PutReply, Reply,
        Seen, Server,
    },
    clock::{Clock, Random},
    codec::Format,
    credentials::Provider,
    error::Result,
    key::{Keyspace, Slot, Topology},
    tls::Tls,
};

mod acl;
mod answers;
mod append;
mod call;
mod client;
mod connection;
mod durable;
mod entries;
mod fault;
#[cfg(feature = "conformance")]
pub(crate) mod hostile;
mod journal;
mod link;
#[cfg(feature = "conformance")]
mod plant;
mod record;
mod scripts;
mod server;
mod snapshot;

use call::Call;
use client::Dial;
use connection::Connection;
use durable::Durable;
#[cfg(feature = "conformance")]
pub(crate) use durable::conformance::run as check_waiting;
use scripts::{Scripts, Step};
use server::Nature;

/// A Redis server.
#[derive(Debug)]
pub(crate) struct RedisBackend {
    connection: Connection,
    durable: Durable,
    scripts: Scripts,
    topology: Topology,
    /// As it was when the server was connected to.
    nature: Nature,
}

/// What is done only where a test says so, and what is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) cluster: bool,
    pub(crate) functions: bool,
}

impl RedisBackend {
    /// Connects, and looks whether the server is one that this crate can use.
    pub(crate) async fn connect(
        (url, tls, credentials): (&str, Option<&Tls>, Option<Provider>),
        timeout: Duration,
        connect_timeout: Duration,
        allowed: Allowed,
        (clock, random): (Clock, Random),
    ) -> Result<Self> {
        let dial = || Dial::new(url, tls, credentials.clone());
        let connection = Connection::new(dial()?, timeout, connect_timeout, clock, random.clone());
        connection.open().await?;
        let nature = server::nature(&connection, allowed.cluster).await?;
        // Nothing is sent before somebody asks for it.
        let waiting = Connection::new(dial()?, timeout, connect_timeout, clock, random);
        let durable = Durable::new(waiting, nature.has_waitaof);
        let scripts = Scripts::new();
        if nature.has_functions && allowed.functions {
            scripts.use_functions();
        }
        Ok(Self { connection, durable, scripts, topology: nature.topology, nature })
    }

    async fn run<T: FromRedisValue>(&self, step: Step, call: &Call) -> Result<T, CacheError> {
        self.scripts.run(&self.connection, step, call).await
    }

    /// Runs a step that answers as many times as it is asked.
    async fn run_each<T>(&self, step: Step, call: &Call, count: usize) -> Result<Vec<T>, CacheError>
    where
        Vec<T>: FromRedisValue,
    {
        let answers = self.run(step, call).await?;
        answers::one_each(answers, count).ok_or_else(|| unexpected(step))
    }
}

/// What `TYPE` answers for an entry of this format.
fn key_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Msgpack => "string",
        Format::Hash => "hash",
        Format::JsonDoc => "ReJSON-RL",
    }
}

/// A step answered what its header does not list. Another release's step under the same name is
/// impossible (names have a hash), so this is a server that is not Redis.
fn unexpected(step: Step) -> CacheError {
    CacheError::answered(format!("the script `{}` answered something unexpected", step.name()))
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
            let partition = first.slot.partition;
            call.key(keys.meta(partition)).key(keys.generation(partition));
            call.argument(token).argument(hold.as_millis()).argument(key_type(format));
            for LeaseAsk { slot, replace } in asks {
                call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
                call.argument(u8::from(*replace));
            }
            let answers: Vec<String> = self.run(Step::Lease, &call).await?;
            answers::leases(&answers, asks.len()).ok_or_else(|| unexpected(Step::Lease))
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
            self.run_each(Step::Fill, &call, fills.len()).await
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
            let answer: Vec<String> = self.run(Step::Begin, &call).await?;
            answers::begin(&answer).ok_or_else(|| unexpected(Step::Begin))
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
            self.run_each(Step::End, &call, ends.len()).await
        })
    }

    fn put<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        asks_server: bool,
    ) -> Reply<'a, PutReply> {
        Box::pin(async move {
            let Some(call) = entries::put(keys, puts, asks_server) else {
                return Ok(PutReply::nothing());
            };
            let answer: Vec<String> = self.run(Step::Put, &call).await?;
            answers::put(&answer, puts.len()).ok_or_else(|| unexpected(Step::Put))
        })
    }

    fn evict<'a>(&'a self, keys: &'a Keyspace, slots: &'a [Slot]) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let Some(first) = slots.first() else { return Ok(Vec::new()) };
            let mut call = Call::default();
            call.key(keys.meta(first.partition));
            for slot in slots {
                call.key(&slot.entry).key(keys.lease(slot));
            }
            self.run_each(Step::Evict, &call, slots.len()).await
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
            self.run_each(Step::Register, &call, facts.len()).await
        })
    }

    fn amend<'a>(
        &'a self,
        keys: &'a Keyspace,
        fact: &'static str,
        before: &'a str,
        after: &'a str,
    ) -> Reply<'a, bool> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.registry()).argument(fact).argument(before).argument(after);
            self.run(Step::Amend, &call).await
        })
    }

    fn server(&self) -> Reply<'_, Server> {
        Box::pin(server::facts(&self.connection))
    }

    fn documents(&self) -> Reply<'_, Documents> {
        Box::pin(server::documents(&self.connection))
    }

    fn topology(&self) -> Topology {
        self.topology
    }

    fn commands(&self) -> Vec<&'static str> {
        acl::commands(self.nature)
    }

    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: crate::codec::Raw) -> Reply<'a, ()> {
        Box::pin(plant::entry(&self.connection, key, raw))
    }

    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        meta: crate::backend::Meta,
    ) -> Reply<'a, ()> {
        Box::pin(plant::meta(&self.connection, keys, partition, meta))
    }

    #[cfg(feature = "conformance")]
    fn incident<'a>(
        &'a self,
        keys: &'a Keyspace,
        incident: crate::backend::Incident,
    ) -> Reply<'a, ()> {
        Box::pin(plant::incident(&self.connection, keys, incident))
    }
}

/// Reads one value out of an answer; a server that is not Redis may answer anything.
fn convert<T: FromRedisValue>(value: Value) -> Result<T, CacheError> {
    from_redis_value(value)
        .map_err(|_| CacheError::answered("Redis answered a value of another type than expected"))
}
