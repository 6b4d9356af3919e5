//! Attributes of words at random: each is taken or told to be wrong, and none stops the compiler.

use fastrand::Rng;
use syn::DeriveInput;

const WORDS: &[&str] = &[
    "prefix",
    "table",
    "collection",
    "strategy",
    "format",
    "compress",
    "ttl",
    "jitter",
    "negative_ttl",
    "schema",
    "removed",
    "crate",
    "durability",
    "coalesce",
    "batch",
    "max_backlog",
    "on_full",
    "snapshot",
    "partitions",
    "id",
    "rename",
    "column",
    "alias",
    "skip",
    "default",
    "json",
    "near",
    "generated",
    "r#type",
    "cache",
    "=",
    ",",
    ",",
    "(",
    ")",
    "[]",
    "{}",
    "::",
    "#",
    "-",
    "'a",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "1.5",
    "0x10",
    "1u8",
    "99999999999999999999999999",
    "\"\"",
    "\"a\"",
    "\"a.b.c\"",
    "\"_cr\"",
    "\"\\0\"",
    "\"\u{1F980}\"",
    "\"1h\"",
    "\"99999999999999999999h\"",
    "\"101%\"",
    "\"%\"",
    "\"h\"",
    "\"block(\"",
    "\"block(1s)\"",
    "\"replicated(0)\"",
    "\"replicated(99999999999)\"",
    "\"write_through\"",
    "\"path::to\"",
    "\"::\"",
    "\"crate::x\"",
    "\"Self\"",
    "b\"x\"",
    "'x'",
    "c\"x\"",
];
const TYPES: &[&str] =
    &["String", "Option<T>", "&'a str", "[u8; 3]", "dyn Fn()", "(A, B)", "!", "T"];
const STRUCTS: u32 = 20_000;

#[test]
fn attributes_of_random_words_are_taken_or_told_to_be_wrong() {
    let mut random = Rng::with_seed(1);
    let (mut taken, mut refused, mut unread) = (0, 0, 0);
    for _ in 0..STRUCTS {
        let text = random_struct(&mut random);
        let Ok(input) = syn::parse_str::<DeriveInput>(&text) else {
            unread += 1;
            continue;
        };
        let tokens = super::implemented(&input).to_string();
        assert!(tokens.contains("CachedEntity for"), "there is an implementation: {text}");
        match tokens.contains("compile_error") {
            true => refused += 1,
            false => taken += 1,
        }
    }
    println!("{taken} structs were taken, {refused} refused, {unread} are none");
    assert!(taken > 0 && refused > 0, "{taken} {refused}");
}

fn random_struct(random: &mut Rng) -> String {
    let attribute = |random: &mut Rng, valid: &[&str]| match random.u8(0..3) {
        0 => format!("#[cache({})]", random.choice(valid).unwrap_or(&"")),
        1 => format!("#[cache({})]", words(random, valid)),
        _ => String::new(),
    };
    let of_struct = &[
        "prefix = \"todos\"",
        "ttl = \"1h\"",
        "prefix = \"x\", table = \"a.b\"",
        "strategy = \"cache_aside\"",
        "schema = 2",
        "removed = \"old\", removed = \"older\"",
        "on_full = \"block(1s)\"",
    ];
    let of_field = &[
        "id",
        "skip",
        "json",
        "default",
        "default = \"make\"",
        "rename = \"b\"",
        "alias = \"c\"",
        "column = \"d\"",
        "generated",
    ];
    let mut text = String::new();
    for _ in 0..random.u8(0..3) {
        text += &attribute(random, of_struct);
    }
    text += " #[cache(prefix = \"p\")] struct S<'a, T, const N: usize> {";
    if random.bool() {
        text = text.replace("<'a, T, const N: usize>", "<T>");
    }
    for field in 0..random.u8(0..6) {
        text += &attribute(random, of_field);
        text += &format!("f{field}: {},", random.choice(TYPES).unwrap_or(&"T"));
    }
    text + "#[cache(id)] id: String }"
}

/// Something valid, with words in and around it.
fn words(random: &mut Rng, valid: &[&str]) -> String {
    let mut words: Vec<&str> = random.choice(valid).unwrap_or(&"").split_inclusive(' ').collect();
    for _ in 0..random.u8(1..4) {
        let word = random.choice(WORDS).copied().unwrap_or("");
        words.insert(random.usize(0..=words.len()), word);
    }
    words.join(" ")
}
