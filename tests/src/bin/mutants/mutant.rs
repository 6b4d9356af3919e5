//! What a mutant is.

use std::{fs, path::Path};

/// A change of the source that breaks a promise.
pub(crate) struct Mutant {
    /// By which it is chosen.
    pub(crate) name: &'static str,
    /// What it does, and what goes wrong.
    pub(crate) breaks: &'static str,
    pub(crate) edits: &'static [Edit],
    /// Those that are to notice it, quick ones first. Parts of their names.
    pub(crate) tests: &'static [&'static str],
}

/// One change of one file.
pub(crate) struct Edit {
    pub(crate) file: &'static str,
    /// Stands there once.
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

impl Mutant {
    /// The number that PROTOCOL 5.4 gives it, if it has one: `m7` in its name, with others of the same.
    pub(crate) fn number(&self) -> Option<u32> {
        self.name.split('-').find_map(|word| word.strip_prefix('m')?.parse().ok())
    }

    /// Whether it can be made of the sources below this directory.
    pub(crate) fn check(&self, root: &Path) -> Result<(), String> {
        for Edit { file, from, .. } in self.edits {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            let count = text.matches(from).count();
            if count != 1 {
                return Err(format!("{}: this stands {count} times in {file}:\n{from}", self.name));
            }
        }
        Ok(())
    }
}

/// A mutant of one edit.
macro_rules! mutant {
    (
        $name:literal: $breaks:literal,
        $file:literal, $from:literal => $to:literal,
        $($test:expr),+ $(,)?
    ) => {
        $crate::mutant::Mutant {
            name: $name,
            breaks: $breaks,
            edits: &[$crate::mutant::Edit { file: $file, from: $from, to: $to }],
            tests: &[$($test),+],
        }
    };
}
pub(crate) use mutant;
