//! Names that no other test uses, so that tests share servers, run side by side and flush nothing.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// Table names may have 63 bytes on PostgreSQL; the unique part needs at most 25 of them.
const STEM_LEN_MAX: usize = 32;

/// A name that starts with `stem`, made of `[A-Za-z0-9_]`, good as a namespace, a prefix and a table.
///
/// It differs from that of every other call: in this process by a counter, from other processes by
/// the process id, and from earlier runs on the same server by a random part.
pub fn unique(stem: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let stem: String = stem.chars().map(plain).take(STEM_LEN_MAX).collect();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{stem}_{:x}_{:04x}_{count}", process::id(), fastrand::u16(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_stem_differ_and_fit_a_table_name() {
        let (a, b) = (unique("swap: todos"), unique("swap: todos"));
        assert_ne!(a, b);
        assert!(a.starts_with("swap__todos_"), "{a}");
        assert!(unique(&"x".repeat(100)).len() <= 63);
    }
}
