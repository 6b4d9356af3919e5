//! `r#type` is the column `type`.

use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "raw")]
struct r#struct {
    #[cache(id)]
    r#type: String,
    r#fn: Option<r#i32>,
}

#[allow(non_camel_case_types)]
type r#i32 = ::core::primitive::i32;

fn main() {
    let entity = r#struct { r#type: "t".to_owned(), r#fn: None };
    assert_eq!(entity.id(), "t");
    assert_eq!(r#struct::SCHEMA.columns()[0].name(), "type");
    assert_eq!(r#struct::SCHEMA.columns()[1].column(), "fn");
}
