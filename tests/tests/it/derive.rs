//! The derive: what it makes of a struct. What it says about a mistake: `tests/ui`.

use std::{collections::BTreeMap, time::Duration};

use cached_repo::{
    CachedEntity, Column, ColumnSpec, Durability, Kind, OnFull, Record, Schema, Settings, Value,
};
use serde::{Deserialize, Serialize};

fn seven() -> i32 {
    7
}

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(
    prefix = "todos",
    strategy = "write_through",
    format = "hash",
    ttl = "90s",
    jitter = "5%",
    negative_ttl = "0",
    table = "app.my_todos",
    schema = 2,
    partitions = 4,
    coalesce = false,
    batch = 7,
    max_backlog = 1000,
    on_full = "block(250ms)",
    durability = "replicated(2)",
    after = "customers, products",
    after = "carts"
)]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(rename = "title", column = "t", alias = "name", alias = "caption")]
    name: String,
    description: Option<String>,
    #[cache(json)]
    labels: Vec<String>,
    #[cache(skip)]
    scratch: u32,
    #[cache(skip, default = "seven")]
    lucky: i32,
    #[cache(default)]
    done: bool,
    #[cache(default = "seven")]
    rank: i32,
    #[cache(json)]
    due: Option<Due>,
    r#type: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Due {
    day: u32,
}

fn todo() -> Todo {
    Todo {
        id: "42".to_owned(),
        name: "tea".to_owned(),
        description: None,
        labels: vec!["a".to_owned()],
        scratch: 0,
        lucky: 7,
        done: true,
        rank: 1,
        due: Some(Due { day: 3 }),
        r#type: -1,
    }
}

/// The record as it is when an entry or a row holds only these columns.
fn only(entity: &Todo, columns: &[&str]) -> Record<'static> {
    let whole = entity.to_record().unwrap().into_owned();
    let mut record = Record::absent(whole.len());
    for (index, value) in whole.iter() {
        if columns.contains(&Todo::SCHEMA.columns()[index].name()) {
            record.set(index, value.clone());
        }
    }
    record
}

fn column_at(name: &str) -> usize {
    Todo::SCHEMA.columns().iter().position(|column| column.name() == name).unwrap()
}

#[test]
fn the_schema_holds_what_the_attributes_say() {
    let expected = [
        ColumnSpec::new("id", "id", &[], Kind::Text, false, true),
        ColumnSpec::new("title", "t", &["name", "caption"], Kind::Text, false, false),
        ColumnSpec::new("description", "description", &[], Kind::Text, true, false),
        ColumnSpec::new("labels", "labels", &[], Kind::Json, true, false).when_absent(|| None),
        ColumnSpec::new("done", "done", &[], Kind::Bool, false, false)
            .when_absent(|| Some(Value::Bool(false))),
        ColumnSpec::new("rank", "rank", &[], Kind::I32, false, false)
            .when_absent(|| Some(Value::I64(7))),
        ColumnSpec::new("due", "due", &[], Kind::Json, true, false)
            .when_absent(|| Some(Value::Null)),
        ColumnSpec::new("type", "type", &[], Kind::I64, false, false),
    ];
    let schema: Schema = Todo::SCHEMA;
    assert_eq!(schema.prefix(), "todos");
    assert_eq!(schema.table(), "app.my_todos");
    assert_eq!(schema.version(), 2);
    assert_eq!(schema.columns(), expected);
    let defaults = |columns: &[ColumnSpec]| columns.iter().map(|c| c.absent()).collect::<Vec<_>>();
    assert_eq!(defaults(schema.columns()), defaults(&expected));
}

#[test]
fn the_settings_hold_what_the_attributes_say_and_nothing_else() {
    let said = Settings::new()
        .strategy("write_through")
        .format("hash")
        .ttl(Duration::from_secs(90))
        .jitter_percent(5)
        .negative_ttl(Duration::ZERO)
        .partitions(4)
        .coalesce(false)
        .batch(7)
        .max_backlog(1000)
        .on_full(OnFull::Block(Duration::from_millis(250)))
        .durability(Durability::Replicated(2))
        .after(&["customers", "products", "carts"]);
    assert_eq!(Todo::SETTINGS, said);

    #[derive(CachedEntity)]
    #[cache(prefix = "silent")]
    struct Silent {
        #[cache(id)]
        id: u64,
    }
    assert_eq!(Silent::SETTINGS, Settings::new());

    #[derive(CachedEntity)]
    #[cache(prefix = "strict", on_full = "write_through", coalesce = true, durability = "fsync")]
    struct Strict {
        #[cache(id)]
        id: u64,
    }
    assert_eq!(Strict { id: 1 }.id(), 1);
    let strict = Settings::new().on_full(OnFull::WriteThrough).coalesce(true);
    assert_eq!(Strict::SETTINGS, strict.durability(Durability::Fsync));
    assert_eq!((Silent::SCHEMA.table(), Silent::SCHEMA.version()), ("silent", 1));
    assert_eq!(Silent { id: 3 }.id(), 3);
}

#[test]
fn durations_are_written_as_people_say_them() {
    macro_rules! ttl {
        ($($text:literal => $ms:literal),*) => {$({
            #[derive(CachedEntity)]
            #[cache(prefix = "e", ttl = $text)]
            struct Entity {
                #[cache(id)]
                id: u8,
            }
            assert_eq!(Entity { id: 1 }.id(), 1);
            assert_eq!(Entity::SETTINGS.ttl, Some(Duration::from_millis($ms)), $text);
        })*};
    }
    ttl!("500ms" => 500, "30s" => 30_000, "5m" => 300_000, "1h" => 3_600_000, "7d" => 604_800_000);
}

#[test]
fn an_entity_is_equal_after_a_round_trip() {
    let entity = todo();
    assert_eq!(entity.id(), "42");
    let mut record = entity.to_record().unwrap().into_owned();
    assert_eq!(Todo::from_record(&mut record), Ok(entity));
}

#[test]
fn a_record_has_the_values_of_the_kinds_that_the_schema_says() {
    let entity = Todo { due: None, ..todo() };
    let record = entity.to_record().unwrap();
    let values: Vec<_> = record.iter().map(|(_, value)| value.clone()).collect();
    let expected = [
        Value::Text("42".into()),
        Value::Text("tea".into()),
        Value::Null,
        Value::Json(r#"["a"]"#.into()),
        Value::Bool(true),
        Value::I64(1),
        Value::Null, // JSON null is null.
        Value::I64(-1),
    ];
    assert_eq!(values, expected);
}

#[test]
fn absent_columns_are_their_default_or_null() {
    let mut record = only(&todo(), &["id", "title", "labels", "type"]);
    let expected = Todo { done: false, rank: 7, due: None, ..todo() };
    assert_eq!(Todo::from_record(&mut record), Ok(expected));
}

#[test]
fn null_is_the_default_where_the_type_has_no_null() {
    let entity = todo();
    let mut record = entity.to_record().unwrap();
    record.set(column_at("done"), Value::Null);
    record.set(column_at("rank"), Value::Null);
    assert_eq!(Todo::from_record(&mut record), Ok(Todo { done: false, rank: 7, ..todo() }));

    #[derive(CachedEntity)]
    #[cache(prefix = "e")]
    struct Optional {
        #[cache(id)]
        id: u8,
        #[cache(default = "some")]
        text: Option<String>,
        #[cache(json, default)]
        labels: Vec<String>,
    }
    fn some() -> Option<String> {
        Some("default".to_owned())
    }
    let mut record = Record::absent(3);
    record.set(0, Value::I64(1));
    record.set(1, Value::Null);
    record.set(2, Value::Null);
    let read = Optional::from_record(&mut record).unwrap();
    assert_eq!((read.id, read.text, read.labels), (1, None, Vec::new()));
    record.set(0, Value::I64(1));
    assert_eq!(Optional::from_record(&mut record).unwrap().text.unwrap(), "default");
}

#[test]
fn an_error_names_the_column_and_never_the_value() {
    let error = |record: &mut Record<'_>| Todo::from_record(record).unwrap_err().to_string();
    let all = ["id", "title", "labels", "type"];

    assert_eq!(error(&mut only(&todo(), &["id"])), "column `title`: is missing");
    assert_eq!(error(&mut only(&todo(), &["id", "title"])), "column `labels`: is missing");

    let mut record = only(&todo(), &all);
    record.set(column_at("type"), Value::Text("secret".into()));
    assert_eq!(error(&mut record), "column `type`: expected an integer, found text");

    let mut record = only(&todo(), &all);
    record.set(column_at("labels"), Value::Json(r#"["a", {"secret": 1}]"#.into()));
    let place = "column `labels`: the JSON does not fit the type: line 1, column 6";
    assert_eq!(error(&mut record), place);

    let mut record = only(&todo(), &all);
    record.set(column_at("labels"), Value::Bool(true));
    assert_eq!(error(&mut record), "column `labels`: expected JSON, found a bool");
}

#[test]
fn a_nested_value_without_json_fails_the_write_and_names_the_column() {
    #[derive(CachedEntity)]
    #[cache(prefix = "e")]
    struct Odd {
        #[cache(id)]
        id: u8,
        #[cache(json)]
        map: BTreeMap<Vec<u8>, u8>,
    }
    let odd = Odd { id: 1, map: BTreeMap::from([(vec![1], 1)]) };
    let error = odd.to_record().unwrap_err().to_string();
    assert_eq!(error, "column `map`: has no JSON: key must be a string");
    assert_eq!(odd.id(), 1);
}

#[test]
fn a_composite_id_is_a_tuple_in_the_order_of_the_fields() {
    #[derive(CachedEntity)]
    #[cache(prefix = "members")]
    struct Member {
        #[cache(id)]
        team: String,
        role: Option<String>,
        #[cache(id, rename = "user_id")]
        user: u64,
    }
    let member = Member { team: "a".to_owned(), role: None, user: 7 };
    assert_eq!(member.role, None);
    let id: (String, u64) = member.id();
    assert_eq!(id, ("a".to_owned(), 7));
    let schema = Member::SCHEMA;
    let columns: Vec<_> = schema.id_columns().map(|(i, c)| (i, c.name())).collect();
    assert_eq!(columns, [(0, "team"), (2, "user_id")]);
}

#[test]
fn a_generic_struct_is_an_entity_where_its_parameters_are_columns() {
    #[derive(Debug, PartialEq, CachedEntity)]
    #[cache(prefix = "pairs")]
    struct Pair<K, V, const N: usize = 2>
    where
        K: Clone,
    {
        #[cache(id)]
        key: K,
        value: Option<V>,
        #[cache(json)]
        rest: Vec<V>,
        #[cache(skip)]
        marker: std::marker::PhantomData<[u8; N]>,
    }
    fn round<E: CachedEntity>(entity: &E) -> E {
        E::from_record(&mut entity.to_record().unwrap().into_owned()).unwrap()
    }
    let marker = std::marker::PhantomData;
    let pair = Pair::<_, _, 3> { key: 1_i64, value: Some(2.5), rest: vec![1.0], marker };
    assert_eq!(round(&pair), pair);
    assert_eq!(pair.id(), 1);
    type P = Pair<String, bool>;
    assert_eq!(P::SCHEMA.columns()[0].kind(), Kind::Text);
    assert_eq!(P::SCHEMA.columns()[1].kind(), bool::KIND);
}
