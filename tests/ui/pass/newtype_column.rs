//! A newtype is a column, and an id, through one small trait.

use cached_repo::{CachedEntity, Column, ColumnError, Kind, Value};

#[derive(Clone, Debug, PartialEq)]
struct Email(String);

impl Column for Email {
    const KIND: Kind = Kind::Text;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        self.0.to_value()
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        String::from_value(value).map(Self)
    }
}

#[derive(Debug, PartialEq, CachedEntity)]
#[cache(prefix = "users")]
struct User {
    #[cache(id)]
    email: Email,
    second: Option<Email>,
}

fn main() {
    let user = User { email: Email("a@b.c".to_owned()), second: None };
    assert_eq!(user.id(), user.email);
    assert_eq!(User::from_record(&mut user.to_record().unwrap()), Ok(user));
}
