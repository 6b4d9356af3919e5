//! Compression of strings: what is behind the envelope becomes one zstd frame, where that is smaller.
//!
//! In JSON the frame follows the quote behind the envelope, in MessagePack the envelope itself. Neither
//! format can have a frame's first byte there, so every process reads both, whatever it writes.

use std::{fmt, str::FromStr};

use super::body::{ENVELOPE_END, PACKED_HEAD, TEXT_HEAD};
use crate::{column::ColumnError, error::Error, schema::Schema};

/// How entries are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard, at a fast level. Needs the feature `zstd`.
    Zstd,
}

impl Compression {
    /// Every compression that there is.
    pub const ALL: &'static [Compression] = &[Compression::Zstd];

    /// The name that the attribute `compress` uses.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|compression| compression.name() == text).ok_or_else(|| {
            Error::configuration(format!("unknown compression {text:?}; there is: zstd"))
        })
    }
}

/// What is compressed, and how much may come of what was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    pub(crate) compression: Option<Compression>,
    /// Shorter ones stay as they are.
    pub(crate) min_bytes: usize,
    /// How many bytes the values of one entity may have.
    pub(crate) value_max_bytes: usize,
}

impl Packing {
    /// The frame, where there is to be one and it is smaller.
    pub(super) fn pack(&self, rest: &[u8]) -> Option<Vec<u8>> {
        self.compression?;
        if rest.len() < self.min_bytes {
            return None;
        }
        zstd_frame::write(rest).filter(|frame| frame.len() < rest.len())
    }

    /// The entry as it was before it was compressed.
    pub(super) fn unpack(&self, schema: &Schema, entry: Vec<u8>) -> Result<Vec<u8>, ColumnError> {
        let at = if entry.starts_with(&TEXT_HEAD) {
            ENVELOPE_END + 1
        } else if entry.starts_with(&PACKED_HEAD) {
            ENVELOPE_END
        } else {
            return Ok(entry);
        };
        match entry.split_at_checked(at) {
            Some((head, frame)) if frame.starts_with(&ZSTD_MAGIC) => {
                let rest = zstd_frame::read(frame, self.rest_max_bytes(schema))?;
                Ok([head, &rest].concat())
            }
            _ => Ok(entry),
        }
    }

    /// No entity that may be saved has more bytes in either format.
    fn rest_max_bytes(&self, schema: &Schema) -> usize {
        let names = schema.columns().iter().map(|column| 6 * column.name().len() + 64);
        self.value_max_bytes.saturating_mul(ESCAPED_MAX).saturating_add(64 + names.sum::<usize>())
    }
}

/// A frame of these bytes, in a build that can compress.
#[cfg(feature = "conformance")]
pub(super) fn frame(rest: &[u8]) -> Option<Vec<u8>> {
    zstd_frame::write(rest)
}

/// How many bytes an escape in JSON makes of one.
const ESCAPED_MAX: usize = 6;
/// How a frame begins. Its first byte is `(`.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether this build can compress.
pub(crate) const IS_BUILT: bool = cfg!(feature = "zstd");

#[cfg(feature = "zstd")]
mod zstd_frame {
    use super::ColumnError;

    /// Fast: a save waits for it.
    const LEVEL: i32 = 1;

    pub(super) fn write(rest: &[u8]) -> Option<Vec<u8>> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).ok()?;
        compressor.include_checksum(true).ok()?;
        compressor.compress(rest).ok()
    }

    pub(super) fn read(frame: &[u8], max_bytes: usize) -> Result<Vec<u8>, ColumnError> {
        // A frame says how long it was. Nothing is allocated before that is known to be bearable, and
        // one that lies does not get more.
        let said = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
        match said.and_then(|len| usize::try_from(len).ok()) {
            Some(len) if len <= max_bytes => zstd::bulk::decompress(frame, len)
                .map_err(|_| ColumnError::new("the compressed entry is damaged")),
            Some(len) => Err(ColumnError::new(format!(
                "the compressed entry has {len} bytes, and at most {max_bytes} are read: raise \
                 `value_max_bytes` if an entity may be so large"
            ))),
            None => Err(ColumnError::new("the compressed entry does not say how long it is")),
        }
    }
}

#[cfg(not(feature = "zstd"))]
mod zstd_frame {
    use super::ColumnError;

    // `build` refuses a repository that would compress.
    pub(super) fn write(_: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn read(_: &[u8], _: usize) -> Result<Vec<u8>, ColumnError> {
        Err(ColumnError::new(
            "the entry is compressed by another process: build this one with the feature `zstd`",
        ))
    }
}
