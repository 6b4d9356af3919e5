//! `journal_entry_decode`: a record of the journal's stream, and the data of a dead letter.

use cached_repo::{CachedEntity, decoders};

use super::{Outcome, Probe, Target, everything, joined, pairs, spellings::DECIMAL_BYTES};

pub(super) const TARGET: Target = Target {
    name: "journal_entry_decode",
    seeds,
    words: &[
        "op\u{1f}",
        "data\u{1f}",
        "schema\u{1f}",
        "entry\u{1f}",
        "write\u{1f}",
        "-0",
        "\u{1e}",
        "\"gone\":1",
        "\"id\":",
        "\"note\":",
        "{}",
        "NaN",
    ],
    run,
};

/// The first byte says whether this version of the struct wrote the data; the first name is the id.
fn run(input: &[u8], probe: &Probe) -> Outcome {
    let Some((same, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let fields = pairs(input);
    let Some((id, fields)) = fields.split_first() else {
        return Outcome::Refused("no id".to_owned());
    };
    let stream = stream_of(&id.0, fields);
    let read = probe.decode(stream.len(), STREAM_FACTOR, || decoders::answer("XRANGE", &stream, 1));
    match read {
        None => return Outcome::Refused("no answer".to_owned()),
        Some(Err(_)) => return Outcome::Refused("record".to_owned()),
        Some(Ok(text)) => assert!(text.starts_with("[JournalRecord"), "{text}"),
    }
    let data = fields.iter().rev().find(|(name, _)| name == b"data");
    let Some((_, data)) = data else { return Outcome::Refused("no data".to_owned()) };
    let decoders = everything::decoders();
    let same = same % 2 == 0;
    match probe.decode(data.len() + DECIMAL_BYTES, FACTOR, || decoders.read_data(data, same)) {
        // The words that an error begins with; behind them stand names.
        Err(why) => Outcome::Refused(format!("{same} {}", why.get(..24).unwrap_or(&why))),
        Ok(record) => {
            let Some((_, text)) = everything::said(&decoders, record) else {
                return Outcome::Accepted(format!("{same} columns"));
            };
            let again = decoders.read_data(text.as_bytes(), true).unwrap();
            let (_, again) = everything::said(&decoders, again).unwrap();
            assert_eq!(again, text);
            Outcome::Accepted(format!("{same} entity"))
        }
    }
}

/// The answer of XRANGE.
fn stream_of(id: &[u8], fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let bulk = |text: &[u8]| [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    let mut bytes = [b"*1\r\n*2\r\n", &bulk(id)[..]].concat();
    bytes.extend(format!("*{}\r\n", 2 * fields.len()).bytes());
    for (name, value) in fields {
        bytes.extend([bulk(name), bulk(value)].concat());
    }
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let decoders = everything::decoders();
    let mut seeds = Vec::new();
    for entity in everything::samples() {
        let data = decoders.write_data(&entity.to_record().unwrap()).unwrap();
        // Repeated names, each of which is none of today's.
        let many: String = (0..1_000).map(|i| format!("\"gone\":{i},")).collect();
        for (same, data) in [
            (0, data.clone()),
            (1, data.clone()),
            // As older versions of the struct wrote it.
            (1, data.replacen("\"text\"", "\"note\"", 1)),
            (1, data.replacen('{', "{\"gone\":[1],", 1)),
            (1, data.replacen("\"unsigned\"", "\"gone\"", 1)),
            (1, data.replacen('{', &format!("{{{many}"), 1)),
        ] {
            let pair = |name: &str, value: &str| (name.into(), value.into());
            let fields = [
                pair("1700000000000000-0", ""),
                pair("op", "p"),
                pair("entry", "everything:1"),
                pair("schema", "AAAAAAAAAAA"),
                pair("write", "token"),
                pair("data", &data),
            ];
            seeds.push([&[same], &joined(&fields)[..]].concat());
        }
    }
    seeds
}

/// PROTOCOL 5.3.
const FACTOR: usize = 4;
/// The driver's values and ours, of bytes that are mostly text.
const STREAM_FACTOR: usize = 64;
