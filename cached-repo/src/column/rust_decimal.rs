//! Decimals of the crate `rust_decimal`.

use ::rust_decimal::Decimal;

use super::{Column, ColumnError};
use crate::{record::Value, schema::Kind};

/// How many zeros stand at the end is not kept: 1.50 comes back as 1.5, which is equal.
impl Column for Decimal {
    const KIND: Kind = Kind::Decimal;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.normalize().to_string().into())
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Text(v) => Decimal::from_str_exact(&v).map_err(|_| {
                ColumnError::new("the text is no decimal, or has more digits than the type")
            }),
            other => Err(ColumnError::unexpected("a decimal", &other)),
        }
    }
}
