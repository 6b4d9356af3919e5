//! `envelope_decode`: an entry in every format, compressed or not.

use cached_repo::{
    CachedEntity, Format,
    decoders::{self, Bytes, Decoders},
};

use super::{
    Outcome, Probe, Target,
    everything::{self, VALUE_MAX_BYTES},
    joined, pairs,
    spellings::DECIMAL_BYTES,
};

pub(super) const TARGET: Target = Target {
    name: "envelope_decode",
    seeds,
    words: &[
        "\"id\":",
        "\"text\":",
        "\"note\":",
        "\"tree\":",
        "\"any\":",
        "\"unsigned\":",
        "\"_cr:",
        "NaN",
        "\"2026-01-02T03:04:05Z\"",
        "{\"_cr\":\"",
        "\u{a3}sum",
        "\u{a3}row",
        "id\u{1f}",
        "\u{1e}text\u{1f}",
        "-0.0",
        "[[\"a\",1]]",
    ],
    run,
};

/// How the bytes behind the first one are taken.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    /// With a check that fits.
    Checked,
    Compressed,
    Document,
    Fields,
}

impl Form {
    const ALL: [Self; 5] =
        [Self::Text, Self::Checked, Self::Compressed, Self::Document, Self::Fields];

    fn bytes(self, input: &[u8]) -> Bytes {
        match self {
            Self::Text => Bytes::Text(input.to_vec()),
            Self::Checked => Bytes::Text(decoders::checked(input.to_vec())),
            Self::Compressed => {
                Bytes::Text(decoders::compressed(decoders::checked(input.to_vec())))
            }
            Self::Document => Bytes::Document(input.to_vec()),
            Self::Fields => Bytes::Fields(pairs(input)),
        }
    }
}

fn run(input: &[u8], probe: &Probe) -> Outcome {
    let Some((form, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let form = Form::ALL[usize::from(*form) % Form::ALL.len()];
    let decoders = everything::decoders();
    let bytes = form.bytes(input);
    let size = size(&bytes);
    let settled = bytes.clone();
    probe.decode(size, FACTOR, || settles(settled));
    // What a frame may become is bounded by what an entity may be.
    let most = size + if form == Form::Compressed { 8 * VALUE_MAX_BYTES } else { 0 };
    let decoded = probe.decode(most + DECIMAL_BYTES, FACTOR, || decoders.read(bytes));
    let number = form as usize;
    match decoded {
        Err(error) => Outcome::Refused(format!("{number} {error}").replace(char::is_numeric, "")),
        Ok(None) => Outcome::Accepted(format!("{}absent", letter(number))),
        Ok(Some(record)) => {
            let present: String = (0..record.len())
                .map(|i| if record.get(i).is_some() { 'x' } else { '-' })
                .collect();
            let way = match everything::said(&decoders, record) {
                Some((entity, text)) => {
                    reads_back(&decoders, &entity, &text);
                    "entity"
                }
                None => "columns",
            };
            Outcome::Accepted(format!("{}{way} {present}", letter(number)))
        }
    }
}

/// What was read can be written in each format, and is read as the same again.
fn reads_back(decoders: &Decoders, entity: &everything::Everything, text: &str) {
    for &format in Format::ALL {
        let bytes = decoders.write(&entity.to_record().unwrap(), format, 'c').unwrap();
        let compressed = match &bytes {
            Bytes::Text(entry) => Some(Bytes::Text(decoders::compressed(entry.clone()))),
            _ => None,
        };
        for bytes in std::iter::once(bytes).chain(compressed) {
            let Ok(read) = decoders.read(bytes) else {
                // It has more bytes than an entity may have.
                assert!(text.len() > VALUE_MAX_BYTES, "{format}: {text}");
                continue;
            };
            let (_, again) = everything::said(decoders, read.unwrap()).unwrap();
            assert_eq!(again, text, "{format}");
        }
    }
}

/// What is done with an entry without decoding it.
fn settles(bytes: Bytes) {
    let before = size(&bytes);
    let (_, settled) = Decoders::settle(bytes);
    assert_eq!(size(&settled), before, "a letter is changed, and nothing else");
    assert!(!Decoders::settle(settled).0, "it is a copy now");
}

fn size(bytes: &Bytes) -> usize {
    match bytes {
        Bytes::Text(text) | Bytes::Document(text) => text.len(),
        // A field is two vectors, however short.
        Bytes::Fields(all) => all.iter().map(|(name, value)| name.len() + value.len()).sum(),
    }
}

fn letter(number: usize) -> char {
    char::from(b'a' + number as u8)
}

fn seeds() -> Vec<Vec<u8>> {
    let decoders = everything::decoders();
    let mut seeds = Vec::new();
    for entity in everything::samples() {
        let record = entity.to_record().unwrap();
        for &format in Format::ALL {
            for state in ['c', 'n', 'k', 'd', 't'] {
                let (forms, bytes) = match decoders.write(&record, format, state).unwrap() {
                    Bytes::Text(text) => (vec![Form::Text, Form::Checked, Form::Compressed], text),
                    Bytes::Document(text) => (vec![Form::Document], text),
                    Bytes::Fields(fields) => (vec![Form::Fields], joined(&fields)),
                };
                seeds.extend(forms.iter().map(|form| [&[*form as u8], &bytes[..]].concat()));
            }
        }
    }
    let plain = decoders.write_data(&everything::samples()[0].to_record().unwrap()).unwrap();
    // As another program writes them, with much that no column is made of.
    let many: String = (0..1_000).map(|i| format!(",\"x{i}\":{i}")).collect();
    for form in [Form::Text, Form::Document] {
        seeds.push([&[form as u8], plain.as_bytes()].concat());
        let long = plain.replacen(',', &format!("{many},"), 1);
        seeds.push([&[form as u8], long.as_bytes()].concat());
    }
    seeds
}

/// PROTOCOL 5.3.
const FACTOR: usize = 4;
