//! How the keys and arguments of a server-side step are laid out.

use crate::{backend::Content, codec::Body};

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
            Body::CompressedText(bytes) => {
                self.argument("text").argument(1).arguments.push(bytes.clone());
            }
            Body::Packed(bytes) => {
                self.argument("packed").argument(1).arguments.push(bytes.clone());
            }
            Body::Document(text) => {
                self.argument("document").argument(1).argument(text);
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
