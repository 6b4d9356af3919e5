//! What attributes and builder say together: the builder wins, and what nobody says has a default.

use std::time::Duration;

use super::{RepositoryBuilder, checks};
use crate::{
    cache::Lifetimes,
    codec::{Format, Packing},
    entity::{CachedEntity, Settings},
    error::{Error, Result},
    strategy::Strategy,
};

const TTL: Duration = Duration::from_secs(60 * 60);
const JITTER_PERCENT: u8 = 10;
const NEGATIVE_TTL: Duration = Duration::from_secs(30);
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl<E: CachedEntity> RepositoryBuilder<E> {
    pub(super) fn words(&self) -> Result<(Strategy, Format)> {
        let strategy = match (self.strategy, self.settings.strategy) {
            (Some(strategy), _) => strategy,
            (None, Some(name)) => name.parse()?,
            (None, None) => Strategy::default(),
        };
        let format = match (self.format, self.settings.format) {
            (Some(format), _) => format,
            (None, Some(name)) => name.parse()?,
            (None, None) => Format::default(),
        };
        Ok((strategy, format))
    }

    pub(super) fn packing(&self, format: Format) -> Result<Packing> {
        let compression = match (self.compression, self.settings.compress) {
            (None, Some(name)) => Some(name.parse()?),
            (compression, _) => compression,
        };
        checks::compression(format, compression)?;
        let (min_bytes, value_max_bytes) = (self.compress_min_bytes, self.value_max_bytes);
        Ok(Packing { compression, min_bytes, value_max_bytes })
    }

    pub(super) fn lifetimes(&self) -> Result<Lifetimes> {
        let Settings { jitter_percent, negative_ttl, .. } = self.settings;
        let ttl = self.ttl.or(self.settings.ttl);
        let jitter_percent = jitter_percent.unwrap_or(JITTER_PERCENT);
        if jitter_percent > 100 {
            return Err(Error::configuration("`jitter_percent` is over 100"));
        }
        let lifetimes = Duration::from_millis(1)..=LIFETIME_MAX;
        if ttl.is_some_and(|ttl| !lifetimes.contains(&ttl)) {
            return Err(Error::configuration("`ttl` must be from 1 ms to 10 years"));
        }
        if negative_ttl.is_some_and(|ttl| ttl > LIFETIME_MAX) {
            return Err(Error::configuration("`negative_ttl` must be at most 10 years"));
        }
        Ok(Lifetimes {
            ttl: ttl.unwrap_or(TTL),
            jitter: f64::from(jitter_percent) / 100.0,
            negative_ttl: negative_ttl.unwrap_or(NEGATIVE_TTL),
            kept_ttl: self.ttl,
        })
    }
}
