//! `resp_script_reply`: what a server answers to each step and command, which may be no Redis at all.

use cached_repo::{ErrorKind, decoders};

use super::{Outcome, Probe, Target};

pub(super) const TARGET: Target = Target {
    name: "resp_script_reply",
    seeds,
    words: &[
        "*1\r\n",
        "*2\r\n",
        "*-1\r\n",
        "*0\r\n",
        "$-1\r\n",
        "_\r\n",
        ":1\r\n",
        ":-1\r\n",
        "+written\r\n",
        "+granted\r\n",
        "+kept\r\n",
        "+7\r\n",
        "+\r\n",
        "-ERR x\r\n",
        "%1\r\n",
        "~1\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(99999999999999999999\r\n",
        "=5\r\ntxt:a\r\n",
        ">1\r\n",
        "|1\r\n",
        "+18446744073709551616\r\n",
    ],
    run,
};

/// The first byte says what was asked, the second one for how many.
fn run(input: &[u8], probe: &Probe) -> Outcome {
    let [step, count, bytes @ ..] = input else { return Outcome::Refused("nothing".to_owned()) };
    let step = decoders::STEPS[usize::from(*step) % decoders::STEPS.len()];
    let count = usize::from(*count);
    match probe.decode(bytes.len() + DRIVER_BYTES, FACTOR, || decoders::answer(step, bytes, count))
    {
        None => Outcome::Refused("no answer".to_owned()),
        Some(Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::Cache, "{error}");
            assert!(!error.is_retryable(), "it would be answered again: {error}");
            Outcome::Refused(format!("{step} {error}"))
        }
        Some(Ok(read)) => {
            if step == "each" {
                let yes_and_no = read.matches("true").count() + read.matches("false").count();
                assert_eq!(yes_and_no, count, "one for each that was asked for");
            }
            let shape: String = read.chars().filter(|c| !c.is_numeric()).take(40).collect();
            Outcome::Accepted(format!("{step} {shape}"))
        }
    }
}

/// What is known of a partition, as `shown_meta` of the scripts' prelude answers it.
const META: &str = "id replid,ab,3,9,8,7,5,90,4,80,,recovered 2,k,ab,3,id";

fn seeds() -> Vec<Vec<u8>> {
    let meta: Vec<_> = META.split(',').collect();
    let answers: &[(&str, u8, &[&[&str]])] = &[
        ("lease", 4, &[&["7", "granted", "held", "blocked", "present"]]),
        ("begin", 1, &[&["begun", "3", "7"], &["fenced"], &["dirty", "1"], &["kept", "0"]]),
        ("put", 2, &[&["written", "1f", "5", "6"], &["dirty", "1"], &["elsewhere", "s"]]),
        ("register", 2, &[&["16", "json"]]),
        (
            "append",
            2,
            &[
                &["written", "3", "ab", "5", "6"],
                &["fenced"],
                &["intended", "250"],
                &["kept", "1"],
                &["full"],
                &["overtaken"],
            ],
        ),
        ("meta", 1, &[&meta, &[""; 16]]),
        ("claim", 1, &[&meta]),
        ("repair", 1, &[&["overtaken"], &["kept", "2"], &["replaced", "3"]]),
        ("turn", 1, &[&["turned", "", ""], &["is", "k", "ab"]]),
        ("changed", 1, &[&["k", "ab", "9", "0", "1", "a", "5", "b", "6"], &["", "", "0", "0", ""]]),
        ("MGET", 2, &[&["{\"id\":1}", "x", "7"]]),
        ("HGETALL", 1, &[&["id", "1", "_cr", "x"], &[]]),
        ("ZRANGE", 1, &[&["todos/7", "1700000000000000", "x", "1.5"]]),
    ];
    let mut seeds = Vec::new();
    for (step, count, all) in answers {
        for words in *all {
            let simple: String = words.iter().map(|word| format!("+{word}\r\n")).collect();
            let bulk: String =
                words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            // The driver takes no simple text for bytes.
            let of_bytes = ["MGET", "HGETALL"].contains(step);
            for items in [simple, bulk].into_iter().skip(usize::from(of_bytes)) {
                seeds.push(seed(step, *count, &format!("*{}\r\n{items}", words.len())));
            }
        }
    }
    for (step, count, answer) in [
        ("each", 2, "*2\r\n:1\r\n:0\r\n"),
        ("acknowledge", 1, "+elsewhere\r\n"),
        ("acknowledge", 1, ":7\r\n"),
        ("seal", 1, "$1\r\n7\r\n"),
        ("survey", 1, "+done\r\n"),
        ("survey", 1, "+17\r\n"),
        ("count", 1, ":3\r\n"),
        ("MGET", 2, "*3\r\n$-1\r\n$2\r\nab\r\n$-1\r\n"),
        ("JSON.GET", 1, "$8\r\n{\"id\":1}\r\n"),
        ("JSON.GET", 1, "$-1\r\n"),
        ("XRANGE", 1, "*1\r\n*2\r\n+5-0\r\n*4\r\n+op\r\n$1\r\np\r\n+data\r\n$2\r\n{}\r\n"),
        ("SCAN", 1, "*2\r\n+17\r\n*1\r\n$7\r\ntodos:1\r\n"),
        ("INFO", 1, "$20\r\nredis_version:7.0.15\r\n"),
    ] {
        seeds.push(seed(step, count, answer));
    }
    seeds
}

fn seed(step: &str, count: u8, answer: &str) -> Vec<u8> {
    let index = decoders::STEPS.iter().position(|known| *known == step).unwrap();
    [&[index as u8, count], answer.as_bytes()].concat()
}

/// A value of four bytes (`:1\r\n`) is one of the driver's, a text, and a part of the answer in words.
const FACTOR: usize = 100;
/// The driver makes room for what an array says that it has: some of it, at each of its 100 levels.
const DRIVER_BYTES: usize = 1 << 18;
