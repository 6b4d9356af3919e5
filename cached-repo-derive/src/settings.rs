//! The settings that the attributes say, as code.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    expand::at,
    model::{Durability, Entity, OnFull},
};

pub(crate) fn of(entity: &Entity<'_>) -> TokenStream {
    let (krate, settings) = (&entity.krate, &entity.settings);
    let name = |kind: &str, word: &Ident| {
        let (of, module) = (format_ident!("{kind}Name"), format_ident!("{}", kind.to_lowercase()));
        let path = at(word.span(), quote!(#krate::names::#module::#word));
        quote!(.#module(<#path as #krate::names::#of>::NAME))
    };
    let duration = |duration: &std::time::Duration| {
        // Every duration that the attributes can write has at most 64 bits of milliseconds.
        let ms = duration.as_millis() as u64;
        quote!(::core::time::Duration::from_millis(#ms))
    };
    let strategy = settings.strategy.as_ref().map(|word| name("Strategy", word));
    let format = settings.format.as_ref().map(|word| name("Format", word));
    let compress = settings.compress.as_ref().map(|word| name("Compress", word));
    let ttl = settings.ttl.as_ref().map(duration).map(|ttl| quote!(.ttl(#ttl)));
    let jitter = settings.jitter_percent.map(|percent| quote!(.jitter_percent(#percent)));
    let negative_ttl =
        settings.negative_ttl.as_ref().map(duration).map(|ttl| quote!(.negative_ttl(#ttl)));
    let partitions = settings.partitions.map(|count| quote!(.partitions(#count)));
    let coalesce = settings.coalesce.map(|coalesce| quote!(.coalesce(#coalesce)));
    let batch = settings.batch.map(|writes| quote!(.batch(#writes)));
    let max_backlog = settings.max_backlog.map(|writes| quote!(.max_backlog(#writes)));
    let on_full = settings.on_full.map(|on_full| match on_full {
        OnFull::Reject => quote!(.on_full(#krate::OnFull::Reject)),
        OnFull::WriteThrough => quote!(.on_full(#krate::OnFull::WriteThrough)),
        OnFull::Block(time) => {
            let time = duration(&time);
            quote!(.on_full(#krate::OnFull::Block(#time)))
        }
    });
    let durability = settings.durability.map(|durability| {
        let level = match durability {
            Durability::Memory => quote!(Memory),
            Durability::Fsync => quote!(Fsync),
            Durability::Replicated(replicas) => quote!(Replicated(#replicas)),
        };
        quote!(.durability(#krate::Durability::#level))
    });
    // Which strategies have snapshots is known to the library, which rustc asks. At the strategy's place, so
    // that a typo in it is one mistake.
    let snapshot = settings.snapshot.as_ref().map(|interval| {
        let path = match &settings.strategy {
            Some(word) => at(word.span(), quote!(#krate::names::strategy::#word)),
            None => quote!(#krate::names::OfBuilder),
        };
        let interval = duration(interval);
        quote!(.snapshot::<#path>(#interval))
    });
    let after = (!settings.after.is_empty()).then(|| {
        let names = &settings.after;
        quote!(.after(&[#(#names),*]))
    });
    quote! {
        #krate::Settings::new()
            #strategy #format #compress #ttl #jitter #negative_ttl
            #partitions #coalesce #batch #max_backlog #on_full #durability #after #snapshot
    }
}
