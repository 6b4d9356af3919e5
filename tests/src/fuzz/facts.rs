//! `facts_decode`: the small texts that the library keeps in Redis and hands out.

use cached_repo::decoders;

use super::{Outcome, Probe, Target};

pub(super) const TARGET: Target = Target {
    name: "facts_decode",
    seeds,
    words: &["@", ">", "/", "16", "4096", "4097", "2147483647", "todos", "+", "-"],
    run,
};

const KINDS: [&str; 3] = ["layout", "receipt", "member"];

fn run(input: &[u8], probe: &Probe) -> Outcome {
    let Some((kind, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let Ok(text) = std::str::from_utf8(input) else {
        return Outcome::Refused(format!("{kind} is no text"));
    };
    match probe.decode(text.len(), FACTOR, || decoders::fact(kind, text)) {
        None => Outcome::Refused(kind.to_owned()),
        Some(spelled) => {
            assert_eq!(decoders::fact(kind, &spelled).as_ref(), Some(&spelled), "it reads back");
            let signs: String = spelled.chars().filter(|c| !c.is_alphanumeric()).take(3).collect();
            Outcome::Accepted(format!("{kind} {signs}"))
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let texts: [(u8, &[&str]); 3] = [
        (0, &["16", "32@16", "16>32", "32@16>8"]),
        (1, &["todos/7/ab12/3/18446744073709551615"]),
        (2, &["todos/7", "a-b/4095"]),
    ];
    let of = |(kind, all): &(u8, &[&str])| -> Vec<Vec<u8>> {
        all.iter().map(|text| [&[*kind], text.as_bytes()].concat()).collect()
    };
    texts.iter().flat_map(of).collect()
}

const FACTOR: usize = 4;
