//! Which journaled write a receipt is about, also for another process.

use std::{fmt, str::FromStr};

use crate::error::Error;

/// The place of one write: which journal, in which epoch, which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) prefix: String,
    pub(crate) partition: u32,
    pub(crate) journal: String,
    pub(crate) epoch: u64,
    pub(crate) version: u64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, partition, journal, epoch, version } = self;
        write!(f, "{prefix}/{partition}/{journal}/{epoch}/{version}")
    }
}

impl FromStr for Receipt {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self, Error> {
        parse(token).ok_or_else(|| {
            Error::invalid("this is no receipt's token: pass what `Saved::token` answered")
        })
    }
}

fn parse(token: &str) -> Option<Receipt> {
    let mut parts = token.split('/');
    let receipt = Receipt {
        prefix: parts.next()?.to_owned(),
        partition: parts.next()?.parse().ok()?,
        journal: parts.next()?.to_owned(),
        epoch: parts.next()?.parse().ok()?,
        version: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_anything_else_is_refused() {
        let receipt = Receipt {
            prefix: "todos".to_owned(),
            partition: 7,
            journal: "ab12".to_owned(),
            epoch: 3,
            version: u64::MAX,
        };
        assert_eq!(receipt.to_string().parse::<Receipt>().unwrap(), receipt);
        for token in ["", "todos", "todos/7/ab/3", "todos/x/ab/3/4", "todos/7/ab/3/4/5"] {
            assert!(token.parse::<Receipt>().is_err(), "{token}");
        }
    }
}
