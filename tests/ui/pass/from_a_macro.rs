//! Names, types and literals may come from a macro.

use cached_repo::CachedEntity;

macro_rules! entity {
    ($name:ident, $prefix:literal, $($field:ident: $ty:ty),*) => {
        #[derive(CachedEntity)]
        #[cache(prefix = $prefix)]
        struct $name {
            #[cache(id)]
            id: String,
            $($field: $ty,)*
        }
    };
}

entity!(Item, "items", size: Option<i32>, done: bool);

fn main() {
    let item = Item { id: "i".to_owned(), size: Some(1), done: true };
    let read = Item::from_record(&mut item.to_record().unwrap()).unwrap();
    assert_eq!((read.id, read.size, read.done), ("i".to_owned(), Some(1), true));
    assert_eq!(Item::SCHEMA.prefix(), "items");
}
