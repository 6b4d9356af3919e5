//! What the process says that writes while its store takes nothing.

use serde::{Deserialize, Serialize};

/// What memory its writes took, and how they were drained.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Bytes of the process when a quarter was written.
    pub early: usize,
    /// Bytes of the process when all was written.
    pub late: usize,
    /// Bytes that were written in between.
    pub bytes: usize,
    /// Rows that were drained in full batches.
    pub full: usize,
    /// Rows that were drained.
    pub rows: usize,
}
