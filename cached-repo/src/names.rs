//! The words that `strategy`, `format` and `compress` may say, as items that rustc can find.
//!
//! The derive turns the literal into a path into this module, at the literal's span. A word that it does
//! not know is an error of its own, which lists those that it does.

/// A strategy that exists.
#[diagnostic::on_unimplemented(
    message = "the strategy `{Self}` is not built yet",
    label = "not built yet"
)]
pub trait StrategyName {
    /// As the attribute spells it.
    const NAME: &'static str;
}

/// A strategy whose entities can be copied to a store every so often.
#[diagnostic::on_unimplemented(
    message = "`snapshot` does not go with the strategy `{Self}`",
    label = "this strategy has its entities in a store anyway",
    note = "`snapshot` copies what the strategy `redis_only` keeps"
)]
pub trait SnapshotName {}

impl SnapshotName for strategy::redis_only {}

/// Where no attribute says the strategy, the builder does, and checks it.
#[allow(missing_debug_implementations)] // It is a name.
pub struct OfBuilder;
impl SnapshotName for OfBuilder {}

/// A format that exists.
#[diagnostic::on_unimplemented(
    message = "the format `{Self}` is not built yet",
    label = "not built yet"
)]
pub trait FormatName {
    /// As the attribute spells it.
    const NAME: &'static str;
}

/// A compression that exists.
#[diagnostic::on_unimplemented(
    message = "the compression `{Self}` is not built yet",
    label = "not built yet"
)]
pub trait CompressName {
    /// As the attribute spells it.
    const NAME: &'static str;
}

macro_rules! names {
    ($module:ident: $trait:ident, built [$($built:ident),*], later [$($later:ident),*]) => {
        /// One item per word.
        #[allow(non_camel_case_types, missing_debug_implementations)] // Spelled as in the attribute.
        pub mod $module {
            $(
                /// The word.
                pub struct $built;
                impl super::$trait for $built {
                    const NAME: &'static str = stringify!($built);
                }
            )*
            $(
                /// Known, and not built yet.
                pub struct $later;
            )*
        }
    };
}

names!(strategy: StrategyName,
    built [cache_aside, read_through, write_through, write_behind, redis_only], later []);
names!(format: FormatName, built [json, hash, json_doc, msgpack], later []);
names!(compress: CompressName, built [zstd], later []);
