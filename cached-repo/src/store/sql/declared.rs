//! The types that a table declares, where a column may be of the database's own type or text.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Dialect, SqlStore, StoreError, Table, describe::Found};
use crate::{
    schema::{Kind, Schema},
    spelling::{Decimal, Time},
};

/// The type of a column, as the table declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Declared {
    word: String,
    arguments: Vec<i32>,
}

impl Declared {
    /// Reads `numeric(10,2)`. What stands behind a character set is left out.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let (text, _) = text.split_once(" character set").unwrap_or((&text, ""));
        let (word, rest) = text.split_once('(').unwrap_or((text, ""));
        let (arguments, rest) = rest.split_once(')').unwrap_or((rest, ""));
        let arguments = arguments.split(',').filter_map(|number| number.trim().parse().ok());
        Self { word: format!("{}{rest}", word.trim_end()), arguments: arguments.collect() }
    }

    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// A number in the parentheses, from 0.
    pub(super) fn argument(&self, index: usize) -> Option<i32> {
        self.arguments.get(index).copied()
    }
}

/// A column, as a dialect looks at values for it.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Shape<'a> {
    pub(super) kind: Kind,
    pub(super) is_id: bool,
    /// What the table declares, or else what the library would.
    pub(super) declared: &'a Declared,
}

/// What is known of the tables of this database.
#[derive(Default)]
pub(super) struct Tables {
    known: Mutex<HashMap<String, Remembered>>,
}

struct Remembered {
    known: Known,
    /// Somebody may have changed the table since.
    is_doubted: bool,
}

/// A table's columns by name.
type Known = Arc<HashMap<String, Declared>>;

impl Tables {
    pub(super) fn known(&self, schema: &Schema) -> Option<Known> {
        self.lock().get(schema.table()).map(|remembered| remembered.known.clone())
    }

    fn trusted(&self, schema: &Schema) -> Option<Known> {
        let known = self.lock();
        let remembered = known.get(schema.table()).filter(|remembered| !remembered.is_doubted);
        remembered.map(|remembered| remembered.known.clone())
    }

    /// Remembers what was found of a table, if it was found.
    pub(super) fn remember(&self, schema: &Schema, found: &Found) -> Known {
        let declared = |(name, declared): &(String, Option<String>)| {
            Some((name.clone(), Declared::parse(declared.as_deref()?)))
        };
        let known: Known = Arc::new(found.columns.iter().filter_map(declared).collect());
        if !known.is_empty() {
            let remembered = Remembered { known: known.clone(), is_doubted: false };
            self.lock().insert(schema.table().to_owned(), remembered);
        }
        known
    }

    /// Somebody may have changed the table: the next to read or write it looks.
    pub(super) fn doubt(&self, schema: &Schema) {
        if let Some(remembered) = self.lock().get_mut(schema.table()) {
            remembered.is_doubted = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        // Nothing in this file panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Dialect> SqlStore<D> {
    /// The table with the types that it declares, which are asked for once.
    pub(super) async fn declared<'a>(&self, schema: &'a Schema) -> Result<Table<'a>, StoreError> {
        let table = Table::new::<D>(schema);
        let known = match self.tables.trusted(schema) {
            Some(known) => known,
            None => self.tables.remember(schema, &self.find(&table).await?),
        };
        Ok(table.of(&known))
    }

    /// Whether the table declares other types than it did. Until somebody has looked, a record that it
    /// refuses may be refused because of them, and fit if it is written as they are now.
    pub(super) async fn has_changed(&self, schema: &Schema) -> Result<bool, StoreError> {
        let Some(before) = self.tables.known(schema) else { return Ok(false) };
        let found = self.find(&Table::new::<D>(schema)).await?;
        let now = self.tables.remember(schema, &found);
        let columns = schema.columns().iter().map(|column| column.column());
        Ok(columns.map(|name| (before.get(name), now.get(name))).any(|(before, now)| match now {
            Some(now) => before != Some(now),
            // Without the column nothing can be written.
            None => false,
        }))
    }

    /// The table with the types that are known already.
    pub(super) fn as_known<'a>(&self, schema: &'a Schema) -> Table<'a> {
        let table = Table::new::<D>(schema);
        match self.tables.known(schema) {
            Some(known) => table.of(&known),
            None => table,
        }
    }
}

/// Why a column with so many digits for a fraction of a second does not hold a time.
pub(super) fn finer(time: Time, digits: i32) -> Option<String> {
    let needed = time.fraction_digits();
    let unit = match digits {
        0 => "seconds".to_owned(),
        3 => "milliseconds".to_owned(),
        6 => "microseconds".to_owned(),
        digits => format!("{digits} digits of a second"),
    };
    usize::try_from(digits)
        .is_ok_and(|digits| needed > digits)
        .then(|| format!("a time with {needed} digits of a second: truncate it to {unit}"))
}

/// Why a column of so many digits, of which so many stand behind the point, does not hold a decimal.
pub(super) fn longer(decimal: &Decimal, precision: i32, scale: i32) -> Option<String> {
    let (whole, fraction) = (decimal.whole_digits(), decimal.fraction_digits());
    let fits = |digits: usize, most: i32| i64::try_from(digits).is_ok_and(|d| d <= most.into());
    let most = precision - scale;
    (!fits(whole, most) || !fits(fraction, scale)).then(|| {
        format!(
            "a decimal of {whole} digits before the point and {fraction} behind it: the column has \
             {most} and {scale}"
        )
    })
}

/// Why a column for so many characters does not hold a text.
pub(super) fn wider(text: &str, characters: Option<i32>) -> Option<String> {
    let most = usize::try_from(characters?).ok()?;
    // No text has more characters than bytes.
    let found = if text.len() > most { text.chars().count() } else { 0 };
    (found > most).then(|| format!("a text of {found} characters: the column has {most}"))
}
