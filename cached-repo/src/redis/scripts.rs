//! The server-side scripts and how their arguments are laid out; each script's header says the rest.

use std::fmt;

use redis::Script;

use crate::{backend::Content, codec::Body};

/// Every script, ready to run by its hash.
pub(super) struct Scripts {
    pub(super) lease: Script,
    pub(super) fill: Script,
    pub(super) begin: Script,
    pub(super) end: Script,
    pub(super) put: Script,
    pub(super) evict: Script,
    pub(super) register: Script,
}

const PRELUDE: &str = include_str!("scripts/prelude.lua");

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{PRELUDE}\n{body}"));
        Self {
            lease: script(include_str!("scripts/lease.lua")),
            fill: script(include_str!("scripts/fill.lua")),
            begin: script(include_str!("scripts/begin.lua")),
            end: script(include_str!("scripts/end.lua")),
            put: script(include_str!("scripts/put.lua")),
            evict: script(include_str!("scripts/evict.lua")),
            register: script(include_str!("scripts/register.lua")),
        }
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the text of seven scripts.
        f.write_str("Scripts")
    }
}

/// The keys and arguments of one call.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn key(&mut self, key: impl Into<String>) -> &mut Self {
        self.keys.push(key.into());
        self
    }

    pub(super) fn argument(&mut self, argument: impl ToString) -> &mut Self {
        self.arguments.push(argument.to_string().into_bytes());
        self
    }

    /// What `next_content` of the prelude reads.
    pub(super) fn content(&mut self, content: Option<&Content<'_>>) -> &mut Self {
        let Some(content) = content else { return self.argument("") };
        let ttl_ms = content.ttl.map_or(0, |ttl| ttl.as_millis().max(1));
        self.argument(content.state.letter()).argument(content.stamp).argument(ttl_ms);
        match content.body {
            Body::Text(text) => {
                self.argument("text").argument(1).argument(text);
            }
            Body::Fields(fields) => {
                self.argument("fields").argument(2 * fields.len());
                for (name, value) in fields {
                    self.argument(name).arguments.push(value.clone());
                }
            }
        }
        self
    }
}
