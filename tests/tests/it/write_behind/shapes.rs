//! Structs that change: what every other shape of a struct makes of what one has written, as a clean
//! entry, as a dirty one, and as a journaled write.

use std::fmt::Debug;

use cached_repo::{CachedEntity, Event, Format, Repository, Strategy};

use super::scene::{Events, Scene, patient};
use crate::stage::{On, Over};

/// One release's shape of the same entity.
macro_rules! shape {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty),* $(,)? } $($container:tt)*) => {
        #[derive(Clone, Debug, PartialEq, CachedEntity)]
        #[cache(prefix = "shapes", jitter = "0%" $($container)*)]
        struct $name {
            #[cache(id)]
            id: String,
            $($(#[$attribute])* $field: $kind),*
        }
    };
}

shape!(Plain { name: String, size: i32, note: Option<String> });
shape!(Added { name: String, size: i32, note: Option<String>, more: i64 });
shape!(AddedOption { name: String, size: i32, note: Option<String>, more: Option<i64> });
shape!(AddedDefault {
    name: String, size: i32, note: Option<String>, #[cache(default = "seven")] more: i64,
});
shape!(Renamed {
    #[cache(alias = "name", column = "name")] title: String, size: i32, note: Option<String>,
});
shape!(RenamedBlindly { #[cache(column = "name")] title: String, size: i32, note: Option<String> });
shape!(Removed { name: String, note: Option<String> } , removed = "size");
shape!(RemovedSilently { name: String, note: Option<String> });
shape!(Optional { name: String, size: Option<i32>, note: Option<String> });
shape!(Required { name: String, size: i32, note: String });
shape!(RequiredDefault {
    name: String,
    size: i32,
    #[cache(default)]
    note: String
});
shape!(Wider { name: String, size: i64, note: Option<String> });
shape!(Narrower { name: String, size: i16, note: Option<String> });
shape!(Flag { name: String, size: bool, note: Option<String> });

fn seven() -> i64 {
    7
}

fn plain(size: i32, note: Option<&str>) -> Plain {
    Plain { id: ID.into(), name: "a".into(), size, note: note.map(Into::into) }
}

/// What the later shape makes of it: what it reads of a dirty entry, and what it drains. `Err` has a
/// word of what is said.
struct Expected<New> {
    reads: Result<New, &'static str>,
    drains: Result<New, &'static str>,
}

fn becomes<New: Clone>(new: New) -> Expected<New> {
    Expected { reads: Ok(new.clone()), drains: Ok(new) }
}

fn waits<New>(reads: Result<New, &'static str>, drains: &'static str) -> Expected<New> {
    Expected { reads, drains: Err(drains) }
}

async fn build<E: CachedEntity>(
    scene: &Scene,
    format: Format,
    drains: bool,
) -> (Repository<E>, Events) {
    let events = Events::default();
    let cache = if drains { patient() } else { patient().no_worker() };
    let cache = scene.cache(events.listen(cache)).await;
    (scene.builder(&cache).format(format).build().await.unwrap(), events)
}

/// The row, as a struct of this shape reads it.
async fn row<E: CachedEntity<Id = String>>(scene: &Scene) -> Option<E> {
    let cache = cached_repo::Cache::builder().no_worker().in_memory();
    let rows: Repository<E> =
        scene.builder(&cache).strategy(Strategy::CacheAside).build().await.unwrap();
    rows.get(ID).await.unwrap()
}

async fn check<Old, New>(written: Old, expected: Expected<New>)
where
    Old: CachedEntity<Id = String> + Clone + Debug + PartialEq,
    New: CachedEntity<Id = String> + Clone + Debug + PartialEq,
{
    let both = |format| [(Over::InProcess, format), (Over::redis_of(&[format]), format)];
    for (over, format) in Format::ALL.iter().copied().flat_map(both) {
        let what = format!("{written:?} in {format} over {over:?}");
        let scene = Scene::new(On::Memory, over).await;
        let (old, _) = build::<Old>(&scene, format, false).await;
        old.save(&written).await.unwrap();
        let (reader, _) = build::<New>(&scene, format, false).await;
        match (reader.get(ID).await, &expected.reads) {
            (Ok(found), Ok(new)) => assert_eq!(found.as_ref(), Some(new), "{what}"),
            (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
            (found, _) => panic!("{what} was read as {found:?}"),
        }
        let (new, events) = build::<New>(&scene, format, true).await;
        match &expected.drains {
            Ok(drained) => {
                new.flush().await.unwrap();
                assert_eq!(row::<New>(&scene).await.as_ref(), Some(drained), "{what}");
            }
            Err(word) => {
                let paused = events.until(|e| matches!(e, Event::Paused { .. })).await;
                assert!(format!("{paused:?}").contains(word), "{what}: {paused:?}");
                assert_eq!(row::<Old>(&scene).await, None, "{what}");
                let (worker, _) = build::<Old>(&scene, format, true).await;
                worker.flush().await.unwrap();
                assert_eq!(row::<Old>(&scene).await, Some(written.clone()), "{what}");
            }
        }
        assert_eq!(new.counts().dead_lettered, 0, "{what}");
        a_clean_entry_is_a_miss::<Old, New>(&scene, &old, &reader).await;
    }
}

async fn a_clean_entry_is_a_miss<Old, New>(
    scene: &Scene,
    old: &Repository<Old>,
    new: &Repository<New>,
) where
    Old: CachedEntity<Id = String>,
    New: CachedEntity<Id = String>,
{
    assert!(old.evict(ID).await.unwrap());
    // What the row lacks for a shape is for the database's migration.
    let loads = async |reading| {
        let before = scene.gate.loads();
        match reading {
            Reading::Old => drop(old.get(ID).await),
            Reading::New => drop(new.get(ID).await),
        }
        scene.gate.loads() - before
    };
    // Twice where the row cannot be read.
    assert_ne!(loads(Reading::Old).await, 0);
    assert_ne!(loads(Reading::New).await, 0, "an entry of another shape was believed");
}

enum Reading {
    Old,
    New,
}

const ID: &str = "1";

/// A test for each change, and the same change taken back: both releases run side by side.
macro_rules! shapes {
    ($($name:ident: $old:expr => $expected:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            check($old, $expected).await;
        }
    )*};
}

const NEWER: &str = "a newer version of this struct";
const OLDER: &str = "an older version of this struct";
const OTHER: &str = "another version of this struct";

fn a() -> String {
    "a".to_owned()
}

fn id() -> String {
    ID.to_owned()
}

shapes! {
    a_column_that_was_added_waits_without_a_default:
        plain(5, None) => waits::<Added>(Err("is missing"), OLDER);
    a_column_that_was_added_is_not_lost_by_older_processes:
        Added { id: id(), name: a(), size: 5, note: None, more: 9 } => waits(Ok(plain(5, None)), NEWER);
    an_option_that_was_added_is_none:
        plain(5, None) => becomes(AddedOption { id: id(), name: a(), size: 5, note: None, more: None });
    an_option_that_was_added_is_not_lost_by_older_processes:
        AddedOption { id: id(), name: a(), size: 5, note: None, more: Some(9) }
            => waits(Ok(plain(5, None)), NEWER);
    a_column_that_was_added_has_its_default:
        plain(5, None) => becomes(AddedDefault { id: id(), name: a(), size: 5, note: None, more: 7 });
    a_column_that_was_renamed_is_found_by_its_alias:
        plain(5, None) => becomes(Renamed { id: id(), title: a(), size: 5, note: None });
    a_column_that_was_renamed_is_new_to_older_processes:
        Renamed { id: id(), title: a(), size: 5, note: None } => waits::<Plain>(Err("is missing"), NEWER);
    a_column_that_was_renamed_without_an_alias_waits:
        plain(5, None) => waits::<RenamedBlindly>(Err("is missing"), NEWER);
    a_column_that_was_removed_is_left_out:
        plain(5, None) => becomes(Removed { id: id(), name: a(), note: None });
    a_column_that_was_removed_is_missing_to_older_processes:
        Removed { id: id(), name: a(), note: None } => waits::<Plain>(Err("is missing"), OLDER);
    a_column_that_was_removed_without_a_word_waits:
        plain(5, None) => waits(Ok(RemovedSilently { id: id(), name: a(), note: None }), "removed");
    a_column_that_became_optional_has_its_value:
        plain(5, None) => becomes(Optional { id: id(), name: a(), size: Some(5), note: None });
    a_column_that_became_optional_waits_where_it_is_none:
        Optional { id: id(), name: a(), size: None, note: None } => waits::<Plain>(Err("size"), OLDER);
    a_column_that_became_required_has_its_value:
        plain(5, Some("x")) => becomes(Required { id: id(), name: a(), size: 5, note: "x".into() });
    a_column_that_became_required_waits_where_it_was_none:
        plain(5, None) => waits::<Required>(Err("note"), OLDER);
    a_column_that_became_required_has_its_default_where_it_was_none:
        plain(5, None) => becomes(RequiredDefault { id: id(), name: a(), size: 5, note: String::new() });
    a_column_that_became_wider_has_its_value:
        plain(5, None) => becomes(Wider { id: id(), name: a(), size: 5, note: None });
    a_column_that_became_narrower_has_its_value_where_it_fits:
        plain(5, None) => becomes(Narrower { id: id(), name: a(), size: 5, note: None });
    a_column_that_became_narrower_waits_where_it_does_not_fit:
        plain(70_000, None) => waits::<Narrower>(Err("size"), OTHER);
    a_column_of_another_type_waits:
        plain(5, None) => waits::<Flag>(Err("cannot be decoded"), OTHER);
    a_column_of_another_type_waits_for_newer_processes:
        Flag { id: id(), name: a(), size: true, note: None } => waits::<Plain>(Err("cannot be decoded"), OTHER);
}
