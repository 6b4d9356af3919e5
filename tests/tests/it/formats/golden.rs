//! Entries and journal records as they are in Redis: files that say their bytes, and that every later
//! release must read.
//!
//! A test that fails here says that the bytes have changed. Then what earlier releases left must still be
//! read: keep the old file beside the new one, as one more that is decoded.

use std::fmt::Write;

use cached_repo::{Cache, CachedEntity, Format, Repository, Strategy, store};
use redis::aio::MultiplexedConnection;
use tests::servers::PrivateRedis;

use crate::write_behind::scene::patient;

/// One column of each kind.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "golden", jitter = "0%")]
struct Golden {
    #[cache(id)]
    id: String,
    flag: bool,
    small: i16,
    big: i64,
    wide: u64,
    half: f32,
    real: f64,
    text: Option<String>,
    none: Option<String>,
    blob: Vec<u8>,
    #[cache(json)]
    tree: Vec<(String, f64)>,
}

fn golden(id: &str) -> Golden {
    Golden {
        id: id.to_owned(),
        flag: true,
        small: -300,
        big: i64::MIN,
        wide: u64::MAX,
        half: 0.1,
        real: 5e-324,
        text: Some("\u{1F980} \"\\\n".to_owned()),
        none: None,
        blob: vec![0, 255, 10],
        tree: vec![("a".to_owned(), 2.5)],
    }
}

/// One that a frame makes smaller in every format.
fn long(id: &str) -> Golden {
    Golden { text: Some("\u{1F980} and more. ".repeat(40)), ..golden(id) }
}

fn file(format: Format) -> &'static str {
    match format {
        Format::Json => include_str!("../../../golden/json.txt"),
        Format::Hash => include_str!("../../../golden/hash.txt"),
        Format::JsonDoc => include_str!("../../../golden/json_doc.txt"),
        Format::Msgpack => include_str!("../../../golden/msgpack.txt"),
        other => panic!("there is no file for the format {other}"),
    }
}

/// Names and values, of a hash or of a record.
type Fields = Vec<(String, Vec<u8>)>;

/// A server of one's own: keys have no namespace then, and the same hashes every time.
struct Desk {
    server: PrivateRedis,
    store: store::SharedStore,
    raw: MultiplexedConnection,
}

impl Desk {
    async fn new() -> Self {
        let server = PrivateRedis::start_with_json(&[]).await;
        let store = store::memory();
        store.create_tables::<Golden>().await.unwrap();
        let raw = tests::raw(server.url()).await;
        Self { server, store, raw }
    }

    async fn process(&self, strategy: Strategy, format: Format) -> (Cache, Repository<Golden>) {
        let cache = patient().no_worker().connect(&self.server.url()).await.unwrap();
        let builder = Repository::builder(&cache).store(&self.store).partitions(1);
        let repo = builder.strategy(strategy).format(format).build().await.unwrap();
        (cache, repo)
    }

    /// The entry under a key: its bytes, or the fields of a hash by name.
    async fn entry(&mut self, key: &str, format: Format) -> Fields {
        let raw = &mut self.raw;
        if format != Format::Hash {
            let read = if format == Format::JsonDoc { "JSON.GET" } else { "GET" };
            let text = redis::cmd(read).arg(key).query_async(raw).await.unwrap();
            return vec![(String::new(), text)];
        }
        let mut fields: Fields = redis::cmd("HGETALL").arg(key).query_async(raw).await.unwrap();
        fields.sort();
        fields
    }

    async fn plant(&mut self, key: &str, format: Format, fields: &[(String, Vec<u8>)]) {
        let mut command = match format {
            Format::Hash => redis::cmd("HSET"),
            Format::JsonDoc => redis::cmd("JSON.SET"),
            _ => redis::cmd("SET"),
        };
        command.arg(key);
        if format == Format::JsonDoc {
            command.arg("$");
        }
        for (name, value) in fields {
            if !name.is_empty() {
                command.arg(name);
            }
            command.arg(value);
        }
        let _: redis::Value = command.query_async(&mut self.raw).await.unwrap();
    }

    async fn journal(&mut self) -> String {
        let mut scan = redis::cmd("SCAN");
        scan.arg(0).arg("COUNT").arg(1000).arg("TYPE").arg("stream");
        let (_, mut keys): (u64, Vec<String>) = scan.query_async(&mut self.raw).await.unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.remove(0)
    }

    /// What the journal's records say, but for what tells one write from another.
    async fn records(&mut self) -> Vec<Fields> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.journal().await).arg("-").arg("+");
        let found = range.query_async::<Vec<(String, Fields)>>(&mut self.raw);
        let fields = |(_, fields): (String, Fields)| -> Fields {
            fields.into_iter().filter(|(name, _)| name != "write").collect()
        };
        found.await.unwrap().into_iter().map(fields).collect()
    }
}

/// The bytes, with a version that is always the same.
fn masked(mut fields: Fields) -> Fields {
    for (name, value) in &mut fields {
        let at = match name.as_str() {
            "" => 10,
            "_cr" => 2,
            _ => continue,
        };
        value[at..at + 16].copy_from_slice(b"000000000000002a");
    }
    fields
}

/// As the files say it: a line for each field, with what is not printable escaped.
fn section(title: &str, fields: &[(String, Vec<u8>)]) -> String {
    let mut text = format!("[{title}]\n");
    for (name, value) in fields {
        writeln!(text, "{name}={}", value.escape_ascii()).unwrap();
    }
    text
}

/// The sections of a file.
fn sections(text: &str) -> Vec<(String, Fields)> {
    let mut sections = Vec::<(String, Fields)>::new();
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(title) => sections.push((title.to_owned(), Vec::new())),
            None => {
                let (name, value) = line.split_once('=').unwrap();
                sections.last_mut().unwrap().1.push((name.to_owned(), unescape(value)));
            }
        }
    }
    sections
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            byte => byte,
        });
    }
    bytes
}

#[tokio::test]
async fn entries_and_records_have_the_bytes_of_the_files() {
    for &format in Format::ALL {
        let mut desk = Desk::new().await;
        let (_cache, behind) = desk.process(Strategy::WriteBehind, format).await;
        behind.save(&golden("dirty")).await.unwrap();
        behind.delete("tombstone").await.unwrap();
        let (_cache, through) = desk.process(Strategy::WriteThrough, format).await;
        through.save(&golden("clean")).await.unwrap();
        assert_eq!(through.get("negative").await.unwrap(), None);
        let (_cache, only) = desk.process(Strategy::RedisOnly, format).await;
        only.save(&golden("kept")).await.unwrap();
        let mut text = String::new();
        for id in ["dirty", "tombstone", "clean", "negative", "kept"] {
            let entry = desk.entry(&only.key(id).unwrap(), format).await;
            text += &section(id, &masked(entry));
        }
        for record in desk.records().await {
            text += &section("record", &record);
        }
        assert!(text == file(format), "{format}: the bytes have changed. They are now:\n{text}");
    }
}

#[tokio::test]
async fn what_the_files_say_is_read() {
    for &format in Format::ALL {
        for &reading in Format::ALL {
            let mut desk = Desk::new().await;
            let (_cache, only) = desk.process(Strategy::RedisOnly, reading).await;
            for (id, fields) in sections(file(format)) {
                if id == "record" {
                    continue;
                }
                desk.plant(&only.key(&id).unwrap(), format, &fields).await;
                let expected = (!["tombstone", "negative"].contains(&&*id)).then(|| golden(&id));
                assert_eq!(only.get(&id).await.unwrap(), expected, "{format} by {reading}: {id}");
            }
        }
    }
}

/// Another release of zstd may write other bytes.
#[tokio::test]
async fn compressed_entries_of_the_file_are_read() {
    for reading in Format::ALL {
        let mut desk = Desk::new().await;
        let (_cache, only) = desk.process(Strategy::RedisOnly, *reading).await;
        let found = sections(include_str!("../../../golden/compressed.txt"));
        assert_eq!(found.len(), 2, "JSON and MessagePack");
        for (id, fields) in found {
            assert!(fields[0].1.windows(4).any(|bytes| bytes == b"\x28\xb5\x2f\xfd"), "a frame");
            desk.plant(&only.key(&id).unwrap(), Format::Json, &fields).await;
            assert_eq!(only.get(&id).await.unwrap(), Some(long(&id)), "{id} by {reading}");
        }
    }
}

#[tokio::test]
async fn the_records_of_the_files_are_drained() {
    for &format in Format::ALL {
        let mut desk = Desk::new().await;
        let (cache, repo) = desk.process(Strategy::WriteBehind, format).await;
        let first = repo.save(&golden("tombstone")).await.unwrap().version().unwrap();
        let journal = desk.journal().await;
        let mut version = first;
        for (title, fields) in sections(file(format)) {
            if title != "record" {
                continue;
            }
            version += 1;
            let mut add = redis::cmd("XADD");
            add.arg(&journal).arg(format!("{version}-0")).arg("write").arg("golden");
            for (name, value) in fields {
                // They go on counting where the first one left off.
                if name == "count" || name == "bytes" {
                    continue;
                }
                add.arg(name).arg(value);
            }
            let _: String = add.query_async(&mut desk.raw).await.unwrap();
        }
        assert_eq!(version, first + 2, "a put and a delete");
        repo.save(&golden("last")).await.unwrap();
        let worker = tokio::spawn(cache.drain());
        repo.flush().await.unwrap();
        worker.abort();
        assert_eq!(repo.counts().dead_lettered, 0);
        let rows = Cache::in_memory();
        let rows = Repository::<Golden>::builder(&rows).store(&desk.store).partitions(1);
        let rows = rows.strategy(Strategy::CacheAside).build().await.unwrap();
        assert_eq!(rows.get("dirty").await.unwrap(), Some(golden("dirty")), "{format}");
        assert_eq!(rows.get("tombstone").await.unwrap(), None, "{format}");
    }
}
