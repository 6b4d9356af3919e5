//! What a write asks of an entity: the one unit that strategies, journal, worker and store exchange.

use std::{fmt, hash, sync::Arc};

use crate::record::{Record, Value};

/// The id of one entity, with the one text that spells it in keys and messages.
///
/// Two ids are equal exactly when their texts are. Cheap to clone.
#[derive(Clone)]
pub struct EntityId(Arc<Spelled>);

struct Spelled {
    values: Vec<Value<'static>>,
    text: String,
}

impl EntityId {
    /// `text` is injective in `values`: only the `key` module spells ids.
    pub(crate) fn new(values: Vec<Value<'static>>, text: String) -> Self {
        Self(Arc::new(Spelled { values, text }))
    }

    /// The values of the id columns, in the schema's order.
    pub fn values(&self) -> &[Value<'static>] {
        &self.0.values
    }

    /// The encoded text: percent-encoded, the parts of a composite id joined by commas.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for EntityId {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for EntityId {}

impl hash::Hash for EntityId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityId({})", self.text())
    }
}

/// One write of one entity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// The entity is to be this, whether it was there or not.
    Put {
        /// Which entity.
        id: EntityId,
        /// All its columns.
        record: Record<'static>,
    },
    /// The entity is to be gone.
    Delete {
        /// Which entity.
        id: EntityId,
    },
}

impl Change {
    /// Which entity is changed.
    pub fn id(&self) -> &EntityId {
        match self {
            Change::Put { id, .. } | Change::Delete { id } => id,
        }
    }

    /// What the entity is to be; `None` if it is to be gone.
    pub fn record(&self) -> Option<&Record<'static>> {
        match self {
            Change::Put { record, .. } => Some(record),
            Change::Delete { .. } => None,
        }
    }
}
