//! Every key and every id is spelled here, and nowhere else.
//!
//! An entry's key is what a person types into redis-cli: `[namespace:]prefix:id`. All other keys of
//! an entity have `@` behind the prefix, which no encoded id contains. On a cluster every key of a
//! partition carries the partition as its hash tag: `todos:{7}:42`.

use std::fmt::Write;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    change::EntityId,
    error::{Error, Result},
    layout::Layout,
};

mod id;
pub(crate) use id::{entity_id, parse_id};

/// An encoded id longer than this (bytes) is replaced in keys by its hash.
pub(crate) const ID_LEN_MAX: usize = 200;
/// Starts a hashed id. Encoded ids never contain it.
const HASHED: char = '#';
const NAME_LEN_MAX: usize = 64;
/// `{4095}:`
const TAG_LEN_MAX: usize = 7;

/// Whether keys need a hash tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One server: a script may touch any key.
    Standalone,
    /// A server in cluster mode: all keys of a script must hash to one slot.
    Cluster,
}

/// Spells the keys of one entity.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    head: String,
    /// Makes the hashes of this keyspace its own.
    seed: u64,
    topology: Topology,
    layout: Layout,
    /// The keys that a read asks for beside the entry's own, one per partition.
    generations: Vec<String>,
}

/// Where one entity's entry is.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) partition: u32,
    /// Tells this entry from every other one, whatever key it was found under.
    pub(crate) hash: u64,
    pub(crate) entry: String,
}

/// What an entry's key says of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyedId<'k> {
    Text(&'k str),
    /// The id is too long: the entry has it.
    Hashed,
}

impl Keyspace {
    /// The keyspace of an entity. `namespace` may be empty.
    pub(crate) fn new(
        namespace: &str,
        prefix: &str,
        topology: Topology,
        partitions: u32,
    ) -> Result<Self> {
        check_name("prefix", prefix)?;
        if partitions == 0 {
            return Err(Error::configuration("`partitions` is 0: use at least 1"));
        }
        let mut head = String::new();
        if !namespace.is_empty() {
            check_name("namespace", namespace)?;
            head = format!("{namespace}:");
        }
        let _ = write!(head, "{prefix}:");
        let seed = xxh3_64(head.as_bytes());
        let layout = Layout::of(partitions);
        let keyspace = Self { head, seed, topology, layout, generations: Vec::new() };
        Ok(keyspace.laid_out(layout))
    }

    /// The same keyspace with these partitions.
    pub(crate) fn laid_out(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self.generations = layout.range().map(|p| self.of_partition(p, "generation")).collect();
        self
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What the store's records of this entity's journal are called: another namespace is another
    /// journal.
    pub(crate) fn ledger_name(&self) -> &str {
        self.head.trim_end_matches(':')
    }

    /// Matches all keys of this entity, and no other's, but for a standalone server's backlog.
    pub(crate) fn pattern(&self) -> String {
        format!("{}*", self.head)
    }

    /// Where the entry of this id is.
    pub(crate) fn slot(&self, id: &EntityId) -> Slot {
        let text = id.text();
        let Layout { first, count } = self.layout;
        let partition = first + (xxh3_64(text.as_bytes()) % u64::from(count)) as u32;
        let mut entry = String::with_capacity(self.head.len() + TAG_LEN_MAX + text.len());
        self.push_tagged(partition, &mut entry);
        let hash = xxh3_64_with_seed(text.as_bytes(), self.seed);
        if text.len() > ID_LEN_MAX {
            let _ = write!(entry, "{HASHED}{}", blake3::hash(text.as_bytes()).to_hex());
        } else {
            entry.push_str(text);
        }
        Slot { partition, hash, entry }
    }

    /// Sorted set of the writers that are writing this entity to the store: token, deadline.
    pub(crate) fn intents(&self, slot: &Slot) -> String {
        self.beside(slot, "intents")
    }

    /// The token of the reader that may fill this entry.
    pub(crate) fn lease(&self, slot: &Slot) -> String {
        self.beside(slot, "lease")
    }

    /// Hash with what is known of a partition: clock, home, epoch.
    pub(crate) fn meta(&self, partition: u32) -> String {
        self.of_partition(partition, "meta")
    }

    /// Stream of a partition's journaled writes.
    // The in-process backend keeps it with the meta hash.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn journal(&self, partition: u32) -> String {
        self.of_partition(partition, "journal")
    }

    /// The token of the worker that drains a partition.
    pub(crate) fn claim(&self, partition: u32) -> String {
        self.of_partition(partition, "worker")
    }

    /// Sorted set of the ids that changed under `redis_only` since they were copied to the store: id,
    /// version.
    // The in-process backend keeps this one and the next two with the meta hash.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn changed(&self, partition: u32) -> String {
        self.of_partition(partition, "changed")
    }

    /// Sorted set of the ids whose only copies expire: id, when (ms).
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn expiring(&self, partition: u32) -> String {
        self.of_partition(partition, "expiring")
    }

    /// Sorted set of the ids whose last change the store refused: id, version.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn refused(&self, partition: u32) -> String {
        self.of_partition(partition, "refused")
    }

    /// The token of the process that copies a partition to the store.
    pub(crate) fn copier(&self, partition: u32) -> String {
        self.of_partition(partition, "copier")
    }

    /// The token of the process that moves the entity between `redis_only` and the other strategies.
    pub(crate) fn mover(&self) -> String {
        format!("{}@mover", self.head)
    }

    /// Hash that says how far the survey is of what was there before changes were marked.
    pub(crate) fn survey(&self) -> String {
        format!("{}@survey", self.head)
    }

    /// What the store's records of the copying of this entity are called.
    pub(crate) fn snapshot_ledger(&self) -> String {
        format!("{}@snapshot", self.ledger_name())
    }

    /// The text of the id whose entry has this key, as far as the key has it.
    pub(crate) fn id_text<'k>(&self, key: &'k str) -> Option<KeyedId<'k>> {
        let rest = key.strip_prefix(&self.head)?;
        let rest = match self.topology {
            Topology::Standalone => rest,
            Topology::Cluster => rest.strip_prefix('{')?.split_once("}:")?.1,
        };
        match rest {
            "" => None,
            _ if rest.starts_with('@') => None,
            _ if rest.starts_with(HASHED) => Some(KeyedId::Hashed),
            _ => Some(KeyedId::Text(rest)),
        }
    }

    /// Says for a while that this append was tried again and is done.
    pub(crate) fn op(&self, partition: u32, op_id: &str) -> String {
        format!("{}@op:{op_id}", self.tagged(partition))
    }

    /// Sorted set of the partitions with records that are not drained, of all entities of the
    /// namespace: [`member`](Self::member), version of the oldest such record. On a cluster it lies with
    /// its partition.
    pub(crate) fn backlog(&self, partition: u32) -> String {
        match self.topology {
            Topology::Standalone => format!("{}@backlog", self.namespace()),
            Topology::Cluster => format!("{}@backlog", self.tagged(partition)),
        }
    }

    /// How the backlog calls a partition of this entity.
    pub(crate) fn member(&self, partition: u32) -> String {
        format!("{}/{partition}", self.prefix())
    }

    /// Takes a member of the backlog apart: prefix, partition.
    pub(crate) fn parse_member(member: &str) -> Option<(&str, u32)> {
        let (prefix, partition) = member.rsplit_once('/')?;
        Some((prefix, partition.parse().ok()?))
    }

    /// The namespace with its colon; empty if there is none.
    fn namespace(&self) -> &str {
        &self.head[..self.head.len() - 1 - self.prefix().len()]
    }

    fn prefix(&self) -> &str {
        let name = self.ledger_name();
        name.rsplit_once(':').map_or(name, |(_, prefix)| prefix)
    }

    /// Counter that makes all clean entries of a partition outdated when it changes.
    pub(crate) fn generation(&self, partition: u32) -> &str {
        &self.generations[(partition - self.layout.first) as usize]
    }

    /// Hash with what every process must agree on for this entity: partitions, store, protocol.
    pub(crate) fn registry(&self) -> String {
        format!("{}@registry", self.head)
    }

    fn of_partition(&self, partition: u32, what: &str) -> String {
        match self.topology {
            Topology::Standalone => format!("{}@{what}:{partition}", self.head),
            Topology::Cluster => format!("{}@{what}", self.tagged(partition)),
        }
    }

    fn beside(&self, slot: &Slot, what: &str) -> String {
        let head = self.tagged(slot.partition);
        format!("{head}@{what}:{}", &slot.entry[head.len()..])
    }

    fn tagged(&self, partition: u32) -> String {
        let mut key = String::new();
        self.push_tagged(partition, &mut key);
        key
    }

    fn push_tagged(&self, partition: u32, key: &mut String) {
        key.push_str(&self.head);
        if self.topology == Topology::Cluster {
            let _ = write!(key, "{{{partition}}}:");
        }
    }
}

/// Names (namespace, prefix) need no encoding, so that keys stay readable and unambiguous.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(plain) {
        return Err(Error::configuration(format!(
            "the {what} {name:?} must be 1 to {NAME_LEN_MAX} characters of A-Z a-z 0-9 _ -"
        )));
    }
    Ok(())
}

/// A table's name is quoted in SQL, so only what no database takes is refused.
pub(crate) fn check_table(table: &str) -> Result<()> {
    let parts = table.split('.').count();
    if table.is_empty() || table.contains('\0') || parts > 2 || table.split('.').any(str::is_empty)
    {
        return Err(Error::configuration(format!(
            "the table {table:?} must be `table` or `schema.table`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::record::Value;

    fn text(id: &str) -> EntityId {
        entity_id(vec![Value::Text(Cow::Owned(id.to_owned()))]).unwrap()
    }

    fn keyspace(topology: Topology) -> Keyspace {
        Keyspace::new("app", "todos", topology, 16).unwrap()
    }

    #[test]
    fn a_key_is_what_a_person_expects_to_type() {
        let keys = Keyspace::new("", "todos", Topology::Standalone, 16).unwrap();
        assert_eq!(keys.slot(&text("42")).entry, "todos:42");
        assert_eq!(keyspace(Topology::Standalone).slot(&text("42")).entry, "app:todos:42");
    }

    #[test]
    fn ids_with_special_characters_are_encoded_injectively() {
        assert_eq!(text("a:b{c}%\n\0é").text(), "a%3Ab%7Bc%7D%25%0A%00%C3%A9");
        let pair = |a: &str, b: &str| {
            let value = |s: &str| Value::Text(Cow::Owned(s.to_owned()));
            entity_id(vec![value(a), value(b)]).unwrap()
        };
        assert_ne!(pair("a,b", "c"), pair("a", "b,c"));
        assert_ne!(pair("", "a"), pair("a", ""));
    }

    #[test]
    fn empty_and_over_long_ids_are_refused_and_long_ones_hashed() {
        assert!(entity_id(vec![Value::Text(Cow::Borrowed(""))]).is_err());
        assert!(entity_id(vec![Value::Text(Cow::Owned("x".repeat(10 * 1024)))]).is_err());
        let keys = keyspace(Topology::Standalone);
        let slot = keys.slot(&text(&"x".repeat(ID_LEN_MAX + 1)));
        assert_eq!(slot.entry.len(), "app:todos:#".len() + 64);
        assert_ne!(slot.entry, keys.slot(&text(&"x".repeat(ID_LEN_MAX + 2))).entry);
    }

    #[test]
    fn on_a_cluster_every_key_of_a_partition_has_the_partitions_tag_first() {
        let keys = keyspace(Topology::Cluster);
        let slot = keys.slot(&text("{evil}"));
        let tag = format!("{{{}}}", slot.partition);
        let all = [
            slot.entry.clone(),
            keys.intents(&slot),
            keys.lease(&slot),
            keys.meta(slot.partition),
            keys.generation(slot.partition).to_owned(),
            keys.journal(slot.partition),
            keys.claim(slot.partition),
            keys.copier(slot.partition),
            keys.changed(slot.partition),
            keys.expiring(slot.partition),
            keys.refused(slot.partition),
            keys.op(slot.partition, "ab"),
            keys.backlog(slot.partition),
        ];
        for key in all {
            assert_eq!(&key[key.find('{').unwrap()..=key.find('}').unwrap()], tag, "{key}");
        }
    }

    #[test]
    fn no_two_keys_of_an_entity_are_the_same() {
        let keys = keyspace(Topology::Standalone);
        let ids = ["meta", "@meta", "lease", "0", "@lease:0", "registry"].map(text);
        let mut all: Vec<String> = ids.iter().map(|id| keys.slot(id).entry).collect();
        all.extend(ids.iter().map(|id| keys.lease(&keys.slot(id))));
        all.extend(ids.iter().map(|id| keys.intents(&keys.slot(id))));
        all.extend((0..16).map(|p| keys.meta(p)));
        all.extend((0..16).map(|p| keys.generation(p).to_owned()));
        all.extend((0..16).map(|p| keys.journal(p)));
        for p in 0..16 {
            all.extend([keys.claim(p), keys.copier(p)]);
            all.extend([keys.changed(p), keys.expiring(p), keys.refused(p)]);
        }
        all.push(keys.survey());
        all.push(keys.backlog(0));
        all.push(keys.registry());
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn keys_of_others_name_no_entity() {
        let keys = keyspace(Topology::Standalone);
        assert_eq!(keys.id_text(&keys.meta(3)), None);
        assert_eq!(keys.id_text("todos:42"), None);
        let long = text(&"x".repeat(ID_LEN_MAX + 1));
        assert_eq!(keys.id_text(&keys.slot(&long).entry), Some(KeyedId::Hashed));
    }
}
