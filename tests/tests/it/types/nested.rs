//! Fields in JSON: what serde_json writes as something else, or as what it does not read, is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inner {
    twice: Option<Option<i32>>,
    any: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    own: Option<Option<i32>>,
    number: Option<f64>,
}

/// A field that is null is told from one that is absent.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<i32>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[derive(Clone, Debug, Default, PartialEq, CachedEntity)]
#[cache(prefix = "odd")]
struct Odd {
    #[cache(id)]
    id: i64,
    #[cache(json)]
    inner: Inner,
    #[cache(json)]
    single: Option<f32>,
    #[cache(json)]
    keys: BTreeMap<bool, BTreeMap<i128, f64>>,
    #[cache(json)]
    twice: Option<Option<i32>>,
    #[cache(json)]
    any: Option<Json>,
    #[cache(json)]
    unit: Option<()>,
    #[cache(json)]
    wide: i128,
    #[cache(json)]
    unsigned: u128,
    #[cache(json)]
    deep: Json,
    plain: Json,
}

fn deep(levels: usize) -> Json {
    (0..levels).fold(Json::from("[{\"[{"), |inner, level| match level % 2 {
        0 => Json::Array(vec![inner]),
        _ => Json::Object([("\\\"[".to_owned(), inner)].into_iter().collect()),
    })
}

fn inner(change: impl FnOnce(&mut Inner)) -> Odd {
    let mut odd = Odd::default();
    change(&mut odd.inner);
    odd
}

/// What comes back as it was.
fn kept() -> Vec<Odd> {
    let none = Odd::default();
    vec![
        inner(|i| i.number = Some(-0.5)),
        inner(|i| i.twice = Some(Some(1))),
        // The type reads what it wrote, so that it is no fault that JSON calls it null.
        inner(|i| i.own = Some(None)),
        Odd { single: Some(f32::MIN_POSITIVE), ..none.clone() },
        Odd { keys: [(true, [(i128::MIN, 1.5)].into())].into(), ..none.clone() },
        Odd { twice: Some(Some(1)), ..none.clone() },
        Odd { any: Some(Json::Bool(false)), ..none.clone() },
        Odd { wide: i64::MIN.into(), unsigned: u64::MAX.into(), ..none.clone() },
        Odd { deep: deep(90), plain: deep(90), ..none.clone() },
        none,
    ]
}

/// What would come back as something else: the field, and what the error says.
fn refused() -> Vec<(Odd, &'static str, &'static str)> {
    let none = Odd::default();
    let keys = |number| [(true, [(1, number)].into())].into();
    vec![
        (inner(|i| i.number = Some(f64::NAN)), "inner", "NaN"),
        (inner(|i| i.number = Some(f64::INFINITY)), "inner", "NaN"),
        (inner(|i| i.twice = Some(None)), "inner", "read as `None`"),
        (inner(|i| i.any = Some(Json::Null)), "inner", "read as `None`"),
        (Odd { single: Some(f32::NEG_INFINITY), ..none.clone() }, "single", "NaN"),
        (Odd { keys: keys(f64::NAN), ..none.clone() }, "keys", "NaN"),
        (Odd { twice: Some(None), ..none.clone() }, "twice", "read as `None`"),
        (Odd { any: Some(Json::Null), ..none.clone() }, "any", "read as `None`"),
        (Odd { unit: Some(()), ..none.clone() }, "unit", "read as `None`"),
        (Odd { wide: i128::from(i64::MIN) - 1, ..none.clone() }, "wide", "as a text"),
        (Odd { unsigned: u128::from(u64::MAX) + 1, ..none.clone() }, "unsigned", "as a text"),
        (Odd { deep: deep(121), ..none.clone() }, "deep", "flatter"),
        (Odd { plain: deep(200), ..none }, "plain", "flatter"),
    ]
}

#[tokio::test]
async fn a_field_in_json_comes_back_or_is_refused_before_any_io() {
    for on in [On::Memory, On::Sqlite] {
        for strategy in [Strategy::WriteThrough, Strategy::WriteBehind] {
            for format in [Format::Json, Format::Hash, Format::Msgpack] {
                let scene = Scene::new::<Odd>(on, Over::Redis).await;
                let repo = scene.repo::<Odd>(strategy, format).await;
                comes_back_or_is_refused(&scene, &repo).await;
            }
        }
    }
}

async fn comes_back_or_is_refused(scene: &Scene, repo: &Repository<Odd>) {
    for (odd, field, says) in refused() {
        let batches = scene.gate.batches();
        let Err(error) = repo.save(&odd).await else { panic!("accepted: {odd:?}") };
        let text = full(&error);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(text.contains(&format!("`{field}`")) && text.contains(says), "{field}: {text}");
        assert_eq!(repo.get(0).await.unwrap(), None, "{field}");
        assert_eq!(scene.gate.batches(), batches, "refused before any I/O");
    }
    for (id, mut odd) in (1..).zip(kept()) {
        odd.id = id;
        let _ = repo.save(&odd).await.unwrap();
        assert_eq!(repo.get(id).await.unwrap().as_ref(), Some(&odd), "what the save left");
        repo.flush().await.unwrap();
        repo.evict(id).await.unwrap();
        assert_eq!(repo.get(id).await.unwrap().as_ref(), Some(&odd), "the store");
    }
}
