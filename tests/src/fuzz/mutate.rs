//! Changes inputs: bytes, numbers, words, parts of other inputs.

use fastrand::Rng;

/// Makes new inputs of old ones.
pub(super) struct Mutator {
    random: Rng,
    words: &'static [&'static str],
    /// How many inputs of a corpus are valid.
    valid: usize,
}

impl Mutator {
    pub(super) fn new(seed: u64, words: &'static [&'static str], valid: usize) -> Self {
        Self { random: Rng::with_seed(seed), words, valid }
    }

    /// One of these, changed in a few places.
    pub(super) fn change(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(corpus);
        for _ in 0..1 << self.random.u32(0..4) {
            self.change_once(&mut input, corpus);
        }
        input.truncate(INPUT_MAX);
        input
    }

    fn change_once(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.random.usize(0..=input.len());
        let len = self.random.usize(0..=SHORT.min(input.len() - at));
        match self.random.u8(0..12) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.random.u8(0..8),
            2 if at < input.len() => input[at] = self.random.choice(BYTES).copied().unwrap_or(0),
            3 => drop(input.drain(at..at + len)),
            4 => insert(input, at, &[self.random.u8(..)]),
            5 => {
                let part = input[at..at + len].to_vec();
                insert(input, at, &part);
            }
            6 => {
                let part = input[at..at + len].to_vec();
                // Now and then many times: what is nested, or long.
                let times = if self.random.u8(0..8) == 0 { self.random.usize(0..400) } else { 3 };
                insert(input, at, &part.repeat(times));
            }
            7 | 8 => {
                let words = if self.random.bool() { self.words } else { WORDS };
                let word = self.random.choice(words).copied().unwrap_or("");
                let end = if self.random.bool() { at } else { at + len };
                drop(input.splice(at..end, word.bytes()));
            }
            9 => self.change_number(input, at),
            10 => {
                let other = self.one_of(corpus);
                let from = self.random.usize(0..=other.len());
                let to = self.random.usize(from..=other.len());
                let end = if self.random.bool() { input.len() } else { at };
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            _ => input.truncate(at.max(1)),
        }
    }

    /// Replaces the digits from a place on.
    fn change_number(&mut self, input: &mut Vec<u8>, at: usize) {
        let Some(from) = input[at..].iter().position(u8::is_ascii_digit) else { return };
        let from = at + from;
        let len = input[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.random.choice(NUMBERS).copied().unwrap_or("0");
        drop(input.splice(from..from + len, number.bytes()));
    }

    /// One of the valid ones that stand first, or of those that were found.
    fn one_of(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let among = if self.random.bool() { &corpus[..self.valid] } else { corpus };
        self.random.choice(among).cloned().unwrap_or_default()
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    drop(input.splice(at..at, part.iter().copied()));
}

/// Parts that are copied and removed are mostly short.
const SHORT: usize = 64;
/// Longer inputs show nothing that these do not.
const INPUT_MAX: usize = 64 * 1024;
/// Ends of ranges, what separates, and what MessagePack begins things with.
const BYTES: &[u8] =
    b"\0\x01\x1e\x1f\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc4\xc6\xc7\xca\xcb\xcf\xd3\xd9\
    \xdb\xdc\xdd\xde\xdf\xff \"'`\\{}[]:,;%@#*$+-.";
const WORDS: &[&str] = &[
    "\r\n",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "[",
    "]",
    "{",
    "}",
    "{\"a\":",
    "[[",
    "]]",
    "\u{0}",
    "\u{301}",
    "\u{1F980}",
    "1e400",
    "-",
    "--",
    "/*",
    "*/",
    "''",
    "\"\"",
    "``",
    "%2C",
    "%",
    ",",
    "_cr",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "00",
    "255",
    "256",
    "32768",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
];
