//! Which partitions an entity has: changing their number gives it new ones, behind those that it had.

use std::{fmt, str::FromStr};

/// More would make each write's bookkeeping larger than the write.
pub(crate) const PARTITIONS_MAX: u32 = 4096;
/// Stands where the store keeps the layout, among the partitions of an entity: no layout reaches it.
pub(crate) const LAYOUT_ROW: u32 = i32::MAX as u32;
/// What the registry of an entity calls it.
pub(crate) const FACT: &str = "partitions";
/// The home of a partition that was given up: its journal is empty, and nobody recovers it.
pub(crate) const CLOSED: &str = "closed";

/// The partitions of an entity: so many, from the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// What is recorded of an entity's partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) now: Layout,
    /// How many there are to be, while their number is being changed.
    pub(crate) next: Option<u32>,
}

impl Layout {
    /// That of an entity whose number was never changed.
    pub(crate) const fn of(count: u32) -> Self {
        Self { first: 0, count }
    }

    /// The one behind it; `None` where numbers end.
    pub(crate) fn behind(self, count: u32) -> Option<Self> {
        let first = self.first.checked_add(self.count)?;
        first.checked_add(count).filter(|end| *end <= LAYOUT_ROW)?;
        Some(Self { first, count })
    }

    pub(crate) fn range(self) -> std::ops::Range<u32> {
        self.first..self.first + self.count
    }
}

impl Recorded {
    pub(crate) const fn settled(now: Layout) -> Self {
        Self { now, next: None }
    }
}

/// `16`, `32@16` (from partition 16 on), `16>32` while it is being changed.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now: Layout { first, count }, next } = self;
        write!(f, "{count}")?;
        if *first > 0 {
            write!(f, "@{first}")?;
        }
        match next {
            Some(next) => write!(f, ">{next}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Recorded {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (now, next) = match text.split_once('>') {
            Some((now, next)) => (now, Some(next.parse().map_err(drop)?)),
            None => (text, None),
        };
        let (count, first) = now.split_once('@').unwrap_or((now, "0"));
        let (count, first): (u32, u32) =
            (count.parse().map_err(drop)?, first.parse().map_err(drop)?);
        let counts = 1..=PARTITIONS_MAX;
        let is_sound = counts.contains(&count)
            && next.is_none_or(|next| counts.contains(&next))
            && first.checked_add(count).is_some_and(|end| end <= LAYOUT_ROW);
        if !is_sound {
            return Err(());
        }
        Ok(Self { now: Layout { first, count }, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_reads_back() {
        for text in ["16", "32@16", "16>32", "32@16>8"] {
            let recorded: Recorded = text.parse().unwrap();
            assert_eq!(recorded.to_string(), text);
        }
        let far = format!("16@{LAYOUT_ROW}");
        for text in ["", "x", "16>", "@16", "16@x", "-1", "0", "4097", "16>0", "16>9999", &far] {
            assert_eq!(text.parse::<Recorded>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_layout_lies_behind_the_one_before_it() {
        let layout = Layout::of(16).behind(32).and_then(|layout| layout.behind(8)).unwrap();
        assert_eq!(layout.range(), 48..56);
        assert_eq!(Layout { first: LAYOUT_ROW - 8, count: 4 }.behind(5), None);
    }
}
