//! `after`: what is journaled of an entity is in the store behind what was journaled of its parents before.

/// Runs a body over both backends, over SQLite.
macro_rules! over_both_families {
    ($(#[$doc:meta])* $name:ident, |$family:ident| $body:block) => {
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            for over in [crate::stage::Over::InProcess, crate::stage::Over::Redis] {
                let $family = Family::new(crate::stage::On::Sqlite, over).await;
                $body
            }
        }
    };
}

mod family;

mod agreement;

mod cluster;

mod incidents;

mod waits;

mod order;

mod troubles;
