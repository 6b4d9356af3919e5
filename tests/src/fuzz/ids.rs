//! `id_encode`: ids and keys, as texts that say one id and no other.

use cached_repo::{EntityId, Kind, Value, decoders};

use super::{BEHIND, BETWEEN, Outcome, Probe, Target};

pub(super) const TARGET: Target = Target {
    name: "id_encode",
    seeds,
    words: &["%2C", "%2c", "\u{1f}", "\u{1e}", "{}", "{7}:", "@meta", "#", "true", "-0", "+1", ":"],
    run,
};

/// The first byte says the kinds of the parts; then come the parts of two ids.
fn run(input: &[u8], probe: &Probe) -> Outcome {
    let Some((kinds, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let kinds = kinds_of(*kinds);
    // As a text that stands in a key, written by anybody.
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(id) = probe.decode(text.len(), FACTOR, || decoders::read_id(&kinds, text))
    {
        assert_eq!(id.text(), text, "one text spells an id");
    }
    let mut ids = input.splitn(2, |byte| *byte == BEHIND).map(|part| values_of(&kinds, part));
    let (Some(Some(first)), second) = (ids.next(), ids.next().flatten()) else {
        return Outcome::Refused("no values".to_owned());
    };
    let id = match probe.decode(input.len(), FACTOR, || decoders::id(first.clone())) {
        Ok(id) => id,
        Err(error) => {
            let message = error.to_string();
            return Outcome::Refused(message.split(" of ").next().unwrap_or_default().to_owned());
        }
    };
    assert_eq!(id.values(), first);
    let read = decoders::read_id(&kinds, id.text()).unwrap();
    assert_eq!(read.values(), first, "{id}: it reads back");
    spells_keys(&id);
    let Some(second) = second else { return Outcome::Accepted(format!("one {kinds:?}")) };
    let Ok(other) = decoders::id(second.clone()) else {
        return Outcome::Accepted(format!("one {kinds:?}"));
    };
    assert_eq!(id == other, first == second, "{id} and {other}");
    let entry = |id: &EntityId| decoders::keys(id, false, 16).unwrap().0.remove(0);
    assert_eq!(entry(&id) == entry(&other), first == second, "keys of {id} and {other}");
    Outcome::Accepted(format!("two {kinds:?}"))
}

/// All keys of an entity are different, and in a cluster in one slot.
fn spells_keys(id: &EntityId) {
    for is_cluster in [false, true] {
        let (keys, is_named) = decoders::keys(id, is_cluster, 16).unwrap();
        assert!(is_named, "{id}: its key names it");
        let mut different: Vec<&String> = keys.iter().collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
        let tags: Vec<_> = keys.iter().map(|key| tag(key)).collect();
        match is_cluster {
            true => assert!(tags[0].is_some() && tags.iter().all(|t| *t == tags[0]), "{keys:?}"),
            false => assert!(tags.iter().all(Option::is_none), "{keys:?}"),
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"'\\*?".contains(c);
        assert!(keys.iter().all(|key| key.chars().all(is_plain)), "{keys:?}");
    }
}

/// What decides about the slot: between the first `{` and the next `}`, if anything is.
fn tag(key: &str) -> Option<&str> {
    let (tag, _) = key.split_once('{')?.1.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

fn kinds_of(byte: u8) -> Vec<Kind> {
    let kind = |i: u8| match (byte >> i) % 6 {
        0 => Kind::Text,
        1 => Kind::I64,
        2 => Kind::Bytes,
        3 => Kind::U64,
        4 => Kind::Bool,
        _ => Kind::Uuid,
    };
    (0..=byte % 4).map(kind).collect()
}

fn values_of(kinds: &[Kind], input: &[u8]) -> Option<Vec<Value<'static>>> {
    let parts: Vec<&[u8]> = input.split(|byte| *byte == BETWEEN).collect();
    if parts.len() != kinds.len() {
        return None;
    }
    let value = |(kind, part): (&Kind, &&[u8])| {
        let text = || std::str::from_utf8(part).ok();
        Some(match kind {
            Kind::Bytes => Value::Bytes(part.to_vec().into()),
            Kind::Bool => Value::Bool(text()?.parse().ok()?),
            Kind::I64 => Value::I64(text()?.parse().ok()?),
            Kind::U64 => Value::U64(text()?.parse().ok()?),
            _ => Value::Text(text()?.to_owned().into()),
        })
    };
    kinds.iter().zip(&parts).map(value).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kinds in 0..=u8::MAX {
        let part = |kind: &Kind, n: usize| match kind {
            Kind::Bool => n.is_multiple_of(2).to_string(),
            Kind::I64 => (-(n as i64)).to_string(),
            Kind::U64 => n.to_string(),
            _ => ["a,b", "a", "%", "\u{1F980}:{x}"][n % 4].to_owned(),
        };
        let id = |n: usize| {
            let parts: Vec<_> =
                kinds_of(kinds).iter().enumerate().map(|(i, kind)| part(kind, n + i)).collect();
            parts.join("\u{1f}")
        };
        seeds.push([&[kinds], format!("{}\u{1e}{}", id(1), id(2)).as_bytes()].concat());
    }
    // Long ones are hashed in keys.
    seeds.push([&[0], "x".repeat(300).as_bytes()].concat());
    seeds
}

/// A byte takes three, and the values are beside the text.
const FACTOR: usize = 8;
