//! UUIDs, decimals, times and ObjectIds come back in the spelling in which they were written.

use super::{rows::same, *};

pub(super) async fn each_spelling_is_held_or_refused(suite: &Suite<'_>) {
    for (column, held) in HELD {
        for value in *held {
            let put = one(suite, *column, Some(value));
            suite.put(&suite.spelled, std::slice::from_ref(&put)).await;
            same(put.record().unwrap(), &read(suite, &put).await, value);
        }
    }
    for (column, doubtful) in DOUBTFUL {
        for value in *doubtful {
            let before = one(suite, *column, None);
            suite.put(&suite.spelled, std::slice::from_ref(&before)).await;
            let put = one(suite, *column, Some(value));
            let checked = suite.store.check(&suite.spelled, &put);
            match suite.apply(&suite.spelled, std::slice::from_ref(&put)).await {
                Ok(_) => {
                    assert!(checked.is_ok(), "{value}: `check` refused what was written");
                    same(put.record().unwrap(), &read(suite, &put).await, value);
                }
                Err(e) => {
                    assert_eq!(e.class(), Class::Record, "{value}: {e:?}");
                    assert!(checked.is_err(), "{value}: `check` let through what was refused");
                    same(before.record().unwrap(), &read(suite, &put).await, value);
                }
            }
        }
    }
}

pub(super) async fn other_spellings_are_refused(suite: &Suite<'_>) {
    for (column, value) in [
        (2, "67E55044-10B1-426F-9247-BB680E5FE0C8"),
        (2, "67e5504410b1426f9247bb680e5fe0c8"),
        (3, "1.50"),
        (3, "1e3"),
        (3, "NaN"),
        (4, "2026-01-02T03:04:05"),
        (4, "2026-01-02T03:04:05+00:00"),
        (4, "2026-01-02 03:04:05Z"),
        (4, "2016-12-31T23:59:60Z"),
        (5, "2026-01-02T03:04:05Z"),
        (6, "2026-02-30"),
        (6, "10000-01-01"),
        (7, "24:00:00"),
        (7, "03:04:05.10"),
        (8, "0123456789ABCDEF01234567"),
        (8, ""),
    ] {
        let put = one(suite, column, Some(value));
        assert!(suite.store.check(&suite.spelled, &put).is_err(), "`check` lets {value} through");
        refused(suite.apply(&suite.spelled, &[put]).await, Class::Record, value);
    }
}

pub(super) async fn ids_find_their_own_row(suite: &Suite<'_>) {
    let puts: Vec<_> = [(1, "2026-01-01"), (1, "2026-01-02"), (2, "2026-01-01")]
        .map(|(n, date)| keyed(suite, n, date, Some((6, date))))
        .into();
    suite.put(&suite.spelled, &puts).await;
    suite.put(&suite.spelled, &puts).await;
    for put in &puts {
        same(put.record().unwrap(), &read(suite, put).await, "an id of two kinds");
    }
    let ids: Vec<_> = puts.iter().map(|put| put.id().clone()).collect();
    suite.put(&suite.spelled, &[Change::Delete { id: ids[0].clone() }]).await;
    assert_eq!(suite.load(&suite.spelled, &ids).await.len(), 2, "one of three rows was deleted");
}

async fn read(suite: &Suite<'_>, put: &Change) -> Record<'static> {
    suite.load_one(&suite.spelled, put.id()).await.unwrap_or_default()
}

/// The one row of this run, with at most one column that is not null.
fn one(suite: &Suite<'_>, column: usize, value: Option<&'static str>) -> Change {
    keyed(suite, 0, "2026-01-01", value.map(|value| (column, value)))
}

fn keyed(suite: &Suite<'_>, n: u8, date: &str, set: Option<(usize, &str)>) -> Change {
    let mut record = Record::absent(SPELLED_COLUMNS.len());
    (2..SPELLED_COLUMNS.len()).for_each(|column| record.set(column, Value::Null));
    // A token of a run has at least as many digits.
    let digits = format!("{n:02x}{}", &suite.token[..30.min(suite.token.len())]);
    let uuid = Kind::Uuid.canonical(&format!("{digits:0<32}")).unwrap().into_owned();
    record.set(0, text(&uuid));
    record.set(1, text(date));
    if let Some((column, value)) = set {
        record.set(column, text(value));
    }
    Change::Put { id: id(vec![text(&uuid), text(date)]), record }
}

/// What every store holds.
const HELD: &[(usize, &[&str])] = &[
    (2, &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    (3, &["0", "-1.5", "79228162514264337593543950335", "0.0000000000000000000000000001"]),
    (4, &["1970-01-01T00:00:00Z", "2026-01-02T03:04:05.678Z", "9999-12-31T23:59:59.999Z"]),
    (5, &["2026-01-02T03:04:05.678901", "1000-01-01T00:00:00", "9999-12-31T23:59:59.999999"]),
    (6, &["2024-02-29", "1000-01-01", "9999-12-31"]),
    (7, &["00:00:00", "03:04:05.1", "23:59:59.999999"]),
    (8, &["000000000000000000000000", "0123456789abcdef01234567"]),
];

/// What some hold exactly, and others refuse.
const DOUBTFUL: &[(usize, &[&str])] = &[
    (3, &["12345678901234567890123456789012345678", "0.00000000000000000000000000000000001"]),
    (4, &["2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.000000001Z", "0001-01-01T00:00:00Z"]),
    (5, &["2026-01-02T03:04:05.000000001", "0001-01-01T00:00:00"]),
    (6, &["0001-01-01"]),
    (7, &["03:04:05.000000001"]),
];
