//! Up to four fields are one id.
#![deny(warnings)]

use cached_repo::CachedEntity;

/// Two fields, apart from each other.
#[derive(CachedEntity)]
#[cache(prefix = "two")]
pub struct Two {
    #[cache(id)]
    pub left: String,
    pub between: bool,
    #[cache(id)]
    pub right: u32,
}

/// Four.
#[derive(CachedEntity)]
#[cache(prefix = "four")]
pub struct Four {
    #[cache(id)]
    pub a: String,
    #[cache(id)]
    pub b: i64,
    #[cache(id)]
    pub c: bool,
    #[cache(id)]
    pub d: Vec<u8>,
}

fn main() {
    let two = Two { left: "l".to_owned(), between: true, right: 2 };
    assert_eq!(two.id(), ("l".to_owned(), 2));
    let four = Four { a: "a".to_owned(), b: 2, c: true, d: vec![4] };
    assert_eq!(four.id(), ("a".to_owned(), 2, true, vec![4]));
}
