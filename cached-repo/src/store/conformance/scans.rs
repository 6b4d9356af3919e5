//! A scan finds every row exactly once.

use std::collections::BTreeSet;

use super::*;

pub(super) async fn a_scan_finds_every_row_once(suite: &Suite<'_>) {
    let things = ["%", "a b", "\u{10FFFF}", "0", "9", "10", "Z", "z", "é", "e\u{301}", "_"];
    let mut changes: Vec<_> =
        things.iter().map(|what| suite.thing_with(what, BIG, Value::I64(1))).collect();
    // A store may hold these as what they spell.
    let digest = blake3::hash(suite.token.as_bytes()).to_hex();
    let uuid = format!(
        "{}-{}-4{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    );
    for spelled in [&digest[..24], &digest[24..48], &uuid] {
        let mut record = Record::absent(THINGS_COLUMNS.len());
        (1..THINGS_COLUMNS.len()).for_each(|i| record.set(i, Value::Null));
        record.set(0, text(spelled));
        changes.push(Change::Put { id: id(vec![text(spelled)]), record });
    }
    each_once(suite, &suite.things, &changes).await;
    let pairs = (-3..3).flat_map(|a| ["a", "b", "a,b", ""].map(|b| (a, b)));
    let pairs: Vec<_> = pairs.map(|(a, b)| suite.pair(a, &format!("scan{b}"), "x")).collect();
    each_once(suite, &suite.pairs, &pairs).await;
    let numbers = [0_u64, 1, 2, 9, 10, 255, 1 << 40, i64::MAX as u64];
    let number = |n: u64| {
        let mut record = Record::absent(1);
        record.set(0, Value::U64(n));
        Change::Put { id: id(vec![Value::U64(n)]), record }
    };
    each_once(suite, &suite.numbers, &numbers.map(number)).await;
}

async fn each_once(suite: &Suite<'_>, schema: &Schema, changes: &[Change]) {
    suite.put(schema, changes).await;
    let mut counts = Vec::new();
    for limit in [3, 7, 10_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let rows = suite.store.load(schema, Query::Scan { after: after.as_ref(), limit }).await;
            let rows = rows.unwrap_or_else(|e| panic!("a scan failed: {e:?}"));
            assert!(rows.len() <= limit as usize, "a page of {} rows, not {limit}", rows.len());
            let ids = rows.iter().map(|row| {
                let row = row.as_ref().unwrap_or_else(|e| panic!("{e}"));
                let columns = schema.id_columns().map(|(index, _)| row.get(index).cloned());
                id(columns.map(Option::unwrap).collect())
            });
            found.extend(ids);
            if rows.len() < limit as usize {
                break;
            }
            after = found.last().cloned();
        }
        let distinct: BTreeSet<_> = found.iter().map(EntityId::text).collect();
        assert_eq!(distinct.len(), found.len(), "a scan by {limit} finds a row twice");
        for change in changes {
            let id = change.id();
            assert!(distinct.contains(id.text()), "a scan by {limit} leaves out {id}");
        }
        counts.push(found.len());
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "pages of any size: {counts:?}");
}
