//! Names, types and literals may come from a macro, and fields from it and its caller.

use cached_repo::CachedEntity;

macro_rules! entity {
    ($name:ident, $prefix:literal, $id:ident, $($field:ident: $ty:ty, $default:literal),*) => {
        #[derive(Debug, PartialEq, CachedEntity)]
        #[cache(prefix = $prefix)]
        struct $name {
            #[cache(id)]
            $id: String,
            $(#[cache(default = $default)] $field: $ty,)*
            #[cache(json)]
            ours: Vec<String>,
            #[cache(skip)]
            hidden: u8,
        }
    };
}

macro_rules! outer {
    ($name:ident, $ty:ty) => {
        entity!($name, "outer", id, size: $ty, "size");
    };
}

fn size() -> Option<i32> {
    Some(3)
}

entity!(Item, "items", id, size: Option<i32>, "size", done: bool, "bool::default");
outer!(Outer, Option<i32>);

fn main() {
    let (id, ours) = ("i".to_owned(), vec!["o".to_owned()]);
    let item = Item { id, size: size(), done: true, ours, hidden: 0 };
    assert_eq!(Item::from_record(&mut item.to_record().unwrap()), Ok(item));
    assert_eq!(Item::SCHEMA.prefix(), "items");
    let outer = Outer { id: "o".to_owned(), size: None, ours: Vec::new(), hidden: 0 };
    assert_eq!(outer.id(), "o");
}
