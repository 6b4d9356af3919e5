//! The derive of cached-repo.
use proc_macro::TokenStream;

/// Derives `CachedEntity`.
#[proc_macro_derive(CachedEntity, attributes(cache))]
pub fn cached_entity(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
