//! What was written is what is read, or it is refused.

use super::*;

pub(super) async fn every_kind_comes_back_as_it_was(suite: &Suite<'_>) {
    let (id, mut record) = suite.thing("every-kind");
    record.set(FLAG, Value::Bool(true));
    record.set(SMALL, Value::I64(-7));
    record.set(MEDIUM, Value::I64(70_000));
    record.set(BIG, Value::I64(1 << 40));
    record.set(UNSIGNED, Value::U64(42));
    record.set(SINGLE, Value::F64(f64::from(0.1_f32)));
    record.set(DOUBLE, Value::F64(0.1));
    record.set(WORDS, text("it's \"quoted\" \\ %s ? $1 \n"));
    record.set(BYTES, Value::Bytes(Cow::Owned((0..=255).collect())));
    record.set(NESTED, json(r#"{"a":[1,2.5,null,"ü\n"],"b":{"c":true}}"#));
    let put = Change::Put { id: id.clone(), record: record.clone() };
    suite.put(&suite.things, &[put]).await;
    let found = suite.load_one(&suite.things, &id).await;
    same(
        &record,
        &found.unwrap_or_else(|| panic!("a row that was put is not found")),
        "every kind",
    );
}

pub(super) async fn extremes_are_held_exactly_or_refused(suite: &Suite<'_>) {
    let mebibyte = "🦀".repeat(256 * 1024);
    let held = [
        (FLAG, Value::Bool(false)),
        (SMALL, Value::I64(i16::MIN.into())),
        (SMALL, Value::I64(i16::MAX.into())),
        (MEDIUM, Value::I64(i32::MIN.into())),
        (MEDIUM, Value::I64(i32::MAX.into())),
        (BIG, Value::I64(i64::MIN)),
        (BIG, Value::I64(i64::MAX)),
        (UNSIGNED, Value::U64(0)),
        (SINGLE, Value::F64(f32::MAX.into())),
        (SINGLE, Value::F64(f32::MIN_POSITIVE.into())),
        (DOUBLE, Value::F64(f64::MAX)),
        (DOUBLE, Value::F64(f64::MIN_POSITIVE)),
        (DOUBLE, Value::F64(9_007_199_254_740_993.0)),
        (DOUBLE, Value::F64(2.0)),
        (WORDS, text("")),
        (WORDS, text("   ")),
        (WORDS, text("e\u{301} \u{e9} 🦀 \u{200f}")),
        (WORDS, text(&mebibyte)),
        (BYTES, Value::Bytes(Cow::Borrowed(&[]))),
        (BYTES, Value::Bytes(Cow::Owned(vec![0; 1024 * 1024]))),
        (NESTED, json("[]")),
        (NESTED, json(r#""\\u0000 is text""#)),
        (NESTED, json("null")),
    ];
    for (at, (column, value)) in held.into_iter().enumerate() {
        exact(suite, &format!("held-{at}"), column, value, false).await;
    }
    let doubtful = [
        (UNSIGNED, Value::U64(u64::MAX)),
        (UNSIGNED, Value::U64(1 << 63)),
        (SINGLE, Value::F64(f64::INFINITY)),
        (SINGLE, Value::F64(f64::NAN)),
        (DOUBLE, Value::F64(f64::INFINITY)),
        (DOUBLE, Value::F64(f64::NEG_INFINITY)),
        (DOUBLE, Value::F64(f64::NAN)),
        (DOUBLE, Value::F64(-0.0)),
        (DOUBLE, Value::F64(5e-324)),
        (WORDS, text("a\0b")),
        (NESTED, json(r#""a\u0000b""#)),
    ];
    for (at, (column, value)) in doubtful.into_iter().enumerate() {
        exact(suite, &format!("doubtful-{at}"), column, value, true).await;
    }
}

pub(super) async fn values_of_another_kind_are_refused(suite: &Suite<'_>) {
    let wrong = [
        (FLAG, Value::I64(1)),
        (SMALL, Value::I64(i64::from(i16::MAX) + 1)),
        (MEDIUM, Value::I64(i64::from(i32::MIN) - 1)),
        (BIG, text("1")),
        (UNSIGNED, Value::I64(1)),
        (SINGLE, Value::F64(0.1)),
        (DOUBLE, Value::I64(1)),
        (WORDS, Value::Bytes(Cow::Borrowed(b"text"))),
        (BYTES, text("bytes")),
        (NESTED, text("{}")),
    ];
    for (column, value) in wrong {
        let why = format!("{value:?} in column {}", THINGS_COLUMNS[column].name());
        let put = suite.thing_with("wrong", column, value);
        refused(suite.apply(&suite.things, &[put]).await, Class::Record, &why);
    }
    let (id, _) = suite.thing("wrong");
    assert!(suite.load_one(&suite.things, &id).await.is_none(), "a refused value left a row");

    let Change::Put { id, mut record } = suite.pair(1, "null", "") else { unreachable!() };
    record.set(2, Value::Null);
    let null = Change::Put { id: id.clone(), record: record.clone() };
    let why = "null in a column that is not nullable";
    refused(suite.apply(&suite.pairs, &[null]).await, Class::Record, why);
    record.take(2);
    let absent = Change::Put { id, record };
    refused(suite.apply(&suite.pairs, &[absent]).await, Class::Record, "an absent column");
}

pub(super) async fn null_is_not_empty(suite: &Suite<'_>) {
    let (id, mut record) = suite.thing("null");
    for (column, empty) in [
        (FLAG, Value::Bool(false)),
        (BIG, Value::I64(0)),
        (UNSIGNED, Value::U64(0)),
        (DOUBLE, Value::F64(0.0)),
        (WORDS, text("")),
        (BYTES, Value::Bytes(Cow::Borrowed(&[]))),
        (NESTED, json("null")),
    ] {
        for value in [empty, Value::Null] {
            record.set(column, value);
            let put = Change::Put { id: id.clone(), record: record.clone() };
            suite.put(&suite.things, &[put]).await;
            let found = suite.load_one(&suite.things, &id).await.unwrap_or_default();
            same(&record, &found, "null and empty");
        }
    }
}

pub(super) async fn similar_ids_are_different_rows(suite: &Suite<'_>) {
    let names = ["a", "A", "a ", " a", "á", "a\u{301}", "a'", "a\"", "a%", "a_", "a\\", "ß", "ss"];
    let ids: Vec<_> = names.iter().map(|name| suite.thing(name).0).collect();
    for name in names {
        suite.put(&suite.things, &[suite.thing_with(name, WORDS, text(name))]).await;
    }
    for (id, name) in ids.iter().zip(names) {
        let found = suite.load_one(&suite.things, id).await.unwrap_or_default();
        assert_eq!(found.get(WORDS), Some(&text(name)), "the row of the id {name:?}");
    }
}

pub(super) async fn composite_ids_find_their_own_row(suite: &Suite<'_>) {
    let puts: Vec<_> = [(1, "x"), (1, "y"), (2, "x"), (i64::MIN, "x,y"), (i64::MIN, "x")]
        .iter()
        .map(|(a, b)| suite.pair(*a, b, &format!("{a} {b}")))
        .collect();
    suite.put(&suite.pairs, &puts).await;
    for put in &puts {
        let found = suite.load_one(&suite.pairs, put.id()).await;
        same(put.record().unwrap(), &found.unwrap_or_default(), "a composite id");
    }
    let crossed = [suite.pair(2, "y", ""), suite.pair(1, "x", "")].map(|c| c.id().clone());
    assert_eq!(suite.load(&suite.pairs, &crossed).await.len(), 1, "(2, y) was never written");
    suite.put(&suite.pairs, &[Change::Delete { id: puts[0].id().clone() }]).await;
    let left: Vec<_> = puts.iter().map(|put| put.id().clone()).collect();
    assert_eq!(suite.load(&suite.pairs, &left).await.len(), 4, "one of five rows was deleted");
}

pub(super) async fn a_load_finds_many_and_leaves_out_absent_ids(suite: &Suite<'_>) {
    let first = u64::from_str_radix(&suite.token[..12], 16).unwrap_or(0) * 4096;
    let number = |n: u64| {
        let mut record = Record::absent(1);
        record.set(0, Value::U64(first + n));
        Change::Put { id: id(vec![Value::U64(first + n)]), record }
    };
    let puts: Vec<_> = (0..MANY).map(number).collect();
    suite.put(&suite.numbers, &puts).await;
    // Written again: a table of nothing but an id has nothing to overwrite.
    suite.put(&suite.numbers, &puts[..3]).await;
    let mut ids: Vec<_> = (0..MANY + 10).rev().map(|n| number(n).id().clone()).collect();
    ids.push(number(0).id().clone());
    let mut found: Vec<u64> = suite
        .load(&suite.numbers, &ids)
        .await
        .iter()
        .map(|row| match row.get(0) {
            Some(Value::U64(v)) => v - first,
            other => panic!("an id of kind U64 came back as {other:?}"),
        })
        .collect();
    found.sort_unstable();
    let each_once = found.iter().copied().eq(0..MANY);
    assert!(each_once, "each row comes once and absent ids are left out; {} came", found.len());
    ids.pop();
    let deletes: Vec<_> = ids.iter().map(|id| Change::Delete { id: id.clone() }).collect();
    suite.put(&suite.numbers, &deletes).await;
    assert!(suite.load(&suite.numbers, &ids).await.is_empty(), "all were deleted");
    assert!(suite.load(&suite.numbers, &[]).await.is_empty(), "no ids, no rows");
}

async fn exact(
    suite: &Suite<'_>,
    what: &str,
    column: usize,
    value: Value<'static>,
    refusable: bool,
) {
    let why = format!("{what}: {value:?} in column {}", THINGS_COLUMNS[column].name());
    let put = suite.thing_with(what, column, value);
    match suite.apply(&suite.things, std::slice::from_ref(&put)).await {
        Ok(_) => {
            let found = suite.load_one(&suite.things, put.id()).await.unwrap_or_default();
            same(put.record().unwrap(), &found, &why);
        }
        Err(e) if refusable && e.class() == Class::Record => {
            let found = suite.load_one(&suite.things, put.id()).await;
            assert!(found.is_none(), "{why}: it was refused and left a row");
        }
        Err(e) => panic!("{why}: {e:?}"),
    }
}

/// Asserts that two records are the same to the bit; JSON may be spelled differently.
pub(super) fn same(written: &Record<'_>, read: &Record<'_>, why: &str) {
    assert_eq!(written.len(), read.len(), "{why}: a row has all the columns of its schema");
    for index in 0..written.len() {
        let equal = match (written.get(index), read.get(index)) {
            (Some(Value::F64(a)), Some(Value::F64(b))) => {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
            (Some(Value::Json(a)), Some(Value::Json(b))) => {
                let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                parse(a).is_some() && parse(a) == parse(b)
            }
            (a, b) => a == b,
        };
        assert!(equal, "{why}: column {index} came back as something else");
    }
}

fn json(value: &str) -> Value<'static> {
    Value::Json(Cow::Owned(value.to_owned()))
}

const MANY: u64 = 1_000;
