//! The tokens: an entity as an `impl CachedEntity`.
//!
//! Every path is absolute, so that whatever else a crate calls `Option` or `core` does no harm. What
//! rustc may complain about stands at the field or the literal that it comes from, see [`at`].

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ExprPath, GenericParam, Ident, spanned::Spanned};

use crate::{
    model::{Default, Entity, Field, Storage},
    settings,
};

/// The implementation of an entity without mistakes.
pub(crate) fn implementation(entity: &Entity<'_>) -> TokenStream {
    let krate = &entity.krate;
    let ids = id_fields(entity);
    let id_values = ids.iter().map(|field| {
        let (span, ident, ty) = (span(field), own(field.ident), field.ty);
        quote_spanned!(span=> <#ty as ::core::clone::Clone>::clone(&self.#ident))
    });
    let columns: Vec<_> =
        entity.fields.iter().filter(|field| field.storage != Storage::Skipped).collect();
    let count = columns.len();
    let writes = columns.iter().enumerate().map(|(index, field)| write(entity, index, field));
    let mut index = 0..;
    let reads = entity.fields.iter().map(|field| match field.storage {
        Storage::Skipped => make(field),
        // The range has no end.
        _ => read(entity, index.next().unwrap_or_default(), field),
    });
    let idents = entity.fields.iter().map(|field| own(field.ident));
    wrap(
        entity,
        entity.fields.iter().flat_map(|field| bounds(entity, field)).collect(),
        id_type(&ids),
        schema(entity, &columns),
        Bodies {
            id: tuple(id_values),
            to_record: quote! {
                let mut __record = #krate::Record::absent(#count);
                #(#writes)*
                ::core::result::Result::Ok(__record)
            },
            from_record: quote!(::core::result::Result::Ok(Self { #(#idents: #reads,)* })),
        },
    )
}

/// An implementation with the same names and types, so that one mistake is not followed by ten.
pub(crate) fn fallback(entity: &Entity<'_>) -> TokenStream {
    let (krate, prefix, table) = (&entity.krate, &entity.prefix, &entity.table);
    let ids = id_fields(entity);
    let unreachable = quote!(::core::unreachable!());
    wrap(
        entity,
        ids.iter().flat_map(|field| bounds(entity, field)).collect(),
        if ids.is_empty() { quote!(::std::string::String) } else { id_type(&ids) },
        quote!(#krate::Schema::new(#prefix, #table, 1, &[])),
        Bodies {
            id: unreachable.clone(),
            to_record: unreachable.clone(),
            from_record: unreachable,
        },
    )
}

struct Bodies {
    id: TokenStream,
    to_record: TokenStream,
    from_record: TokenStream,
}

fn wrap(
    entity: &Entity<'_>,
    bounds: Vec<TokenStream>,
    id_type: TokenStream,
    schema: TokenStream,
    Bodies { id, to_record, from_record }: Bodies,
) -> TokenStream {
    let (krate, ident) = (&entity.krate, own(&entity.input.ident));
    let settings = settings::of(entity);
    let (parameters, arguments, existing) = entity.input.generics.split_for_impl();
    let existing = existing.iter().flat_map(|clause| &clause.predicates);
    let of_parameters = entity.input.generics.params.iter().filter_map(|p| match p {
        GenericParam::Type(p) => {
            let ident = &p.ident;
            Some(quote!(#ident: ::core::marker::Send + ::core::marker::Sync + 'static,))
        }
        // Refused; the bound keeps rustc from refusing it in other words.
        GenericParam::Lifetime(p) => {
            let lifetime = &p.lifetime;
            Some(quote!(#lifetime: 'static,))
        }
        GenericParam::Const(_) => None,
    });
    quote! {
        #[automatically_derived]
        impl #parameters #krate::CachedEntity for #ident #arguments
        where
            #(#existing,)*
            #(#of_parameters)*
            #(#bounds)*
        {
            type Id = #id_type;
            const SCHEMA: #krate::Schema = #schema;
            const SETTINGS: #krate::Settings = #settings;
            fn id(&self) -> #id_type {
                #id
            }
            fn to_record(
                &self,
            ) -> ::core::result::Result<#krate::Record<'_>, #krate::ColumnError> {
                #to_record
            }
            fn from_record(
                __record: &mut #krate::Record<'_>,
            ) -> ::core::result::Result<Self, #krate::ColumnError> {
                #from_record
            }
        }
    }
}

fn schema(entity: &Entity<'_>, columns: &[&Field<'_>]) -> TokenStream {
    let Entity { krate, prefix, table, version, .. } = entity;
    let specs = columns.iter().map(|field| {
        let (span, ty, name, id) = (span(field), field.ty, &field.name.text, field.id);
        let krate = at(span, krate);
        let column = field.column.as_ref().map_or(name, |column| &column.text);
        let aliases = field.aliases.iter().map(|alias| &alias.text);
        let kind = match field.storage {
            Storage::Json => quote!(#krate::Kind::Json, true),
            _ => quote_spanned! {span=>
                <#ty as #krate::Column>::KIND, <#ty as #krate::Column>::NULLABLE
            },
        };
        let default = match &field.default {
            Default::None => None,
            Default::Trait => {
                Some(quote_spanned!(span=> <#ty as ::core::default::Default>::default))
            }
            Default::Function(path) => Some(made(entity, field, path)),
        };
        let absent = match (field.storage, default) {
            (Storage::Json, None) => Some(quote_spanned! {span=>
                .when_absent(|| #krate::derived::json_absent::<#ty>(::core::option::Option::None))
            }),
            (Storage::Json, Some(make)) => Some(quote_spanned! {span=>
                .when_absent(|| {
                    #krate::derived::json_absent::<#ty>(::core::option::Option::Some(#make))
                })
            }),
            (_, None) => None,
            (_, Some(make)) => Some(quote_spanned! {span=>
                .when_absent(|| #krate::derived::absent::<#ty>(#make))
            }),
        };
        let generated = field.generated.then(|| quote_spanned!(span=> .generated()));
        // At the field, because it refuses what cannot be an id.
        quote_spanned! {span=>
            #krate::ColumnSpec::new(#name, #column, &[#(#aliases),*], #kind, #id) #absent #generated
        }
    });
    // The block makes the array a constant of its own, which can be borrowed for ever.
    let removed = match entity.removed.as_slice() {
        [] => None,
        names => {
            let names = names.iter().map(|name| &name.text);
            Some(quote!(.with_removed(&[#(#names),*])))
        }
    };
    quote!(#krate::Schema::new(#prefix, #table, #version, const { &[#(#specs),*] }) #removed)
}

fn write(entity: &Entity<'_>, index: usize, field: &Field<'_>) -> TokenStream {
    let (span, ident, ty, name) = (span(field), own(field.ident), field.ty, &field.name.text);
    let krate = at(span, &entity.krate);
    let value = match field.storage {
        Storage::Json => quote_spanned! {span=>
            <#ty as #krate::derived::Json>::to_value(&self.#ident, #name)?
        },
        _ => quote_spanned!(span=> <#ty as #krate::Column>::to_value(&self.#ident)),
    };
    quote!(__record.set(#index, #value);)
}

fn read(entity: &Entity<'_>, index: usize, field: &Field<'_>) -> TokenStream {
    let (span, ty, name) = (span(field), field.ty, &field.name.text);
    let krate = at(span, &entity.krate);
    let default = match &field.default {
        Default::None => quote!(::core::option::Option::None),
        Default::Trait => quote_spanned! {span=>
            ::core::option::Option::Some(<#ty as ::core::default::Default>::default)
        },
        Default::Function(path) => {
            let make = made(entity, field, path);
            quote_spanned!(span=> ::core::option::Option::Some(#make))
        }
    };
    match field.storage {
        Storage::Json => quote_spanned! {span=>
            <#ty as #krate::derived::Json>::read(__record, #index, #name, #default)?
        },
        _ => quote_spanned! {span=>
            #krate::derived::read::<#ty>(
                __record,
                #index,
                #name,
                <#ty as #krate::Column>::NULLABLE,
                <#ty as #krate::Column>::from_value,
                #default,
            )?
        },
    }
}

/// The function that makes a default, in the same words wherever it is needed: rustc tells a mistake once.
fn made(entity: &Entity<'_>, field: &Field<'_>, path: &ExprPath) -> TokenStream {
    let (span, ty) = (span(field), field.ty);
    let (krate, path) = (at(span, &entity.krate), at(path.span(), path));
    quote_spanned!(span=> #krate::derived::made::<#ty>(#path))
}

/// The value of a field that is stored nowhere.
fn make(field: &Field<'_>) -> TokenStream {
    let (span, ty) = (span(field), field.ty);
    match &field.default {
        Default::Function(path) => at(path.span(), quote!(#path())),
        _ => quote_spanned!(span=> <#ty as ::core::default::Default>::default()),
    }
}

/// What a field's type must be able to do, where rustc cannot tell before the parameters are known.
fn bounds(entity: &Entity<'_>, field: &Field<'_>) -> Vec<TokenStream> {
    let (krate, ty) = (&entity.krate, field.ty);
    let parameters = entity.input.generics.type_params().map(|p| p.ident.to_string()).collect();
    if !mentions(ty.to_token_stream(), &parameters) {
        return Vec::new();
    }
    let mut bounds = vec![match field.storage {
        Storage::Column => quote!(#ty: #krate::Column,),
        Storage::Json => quote!(#ty: #krate::derived::Json,),
        Storage::Skipped => TokenStream::new(),
    }];
    let made = field.storage == Storage::Skipped && !matches!(field.default, Default::Function(_));
    if made || matches!(field.default, Default::Trait) {
        bounds.push(quote!(#ty: ::core::default::Default,));
    }
    if field.id {
        bounds.push(quote!(#ty: ::core::clone::Clone));
        bounds.push(quote!(+ ::core::marker::Send + ::core::marker::Sync + 'static,));
    }
    bounds
}

fn mentions(tokens: TokenStream, parameters: &HashSet<String>) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => parameters.contains(&ident.to_string()),
        TokenTree::Group(group) => mentions(group.stream(), parameters),
        _ => false,
    })
}

fn id_fields<'a, 'b>(entity: &'b Entity<'a>) -> Vec<&'b Field<'a>> {
    entity.fields.iter().filter(|field| field.id).take(crate::model::ID_COLUMNS_MAX).collect()
}

fn id_type(ids: &[&Field<'_>]) -> TokenStream {
    tuple(ids.iter().map(|field| field.ty.to_token_stream()))
}

/// The only one, or all in parentheses.
fn tuple(parts: impl Iterator<Item = TokenStream>) -> TokenStream {
    let parts: Vec<_> = parts.collect();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => quote!((#(#parts),*)),
    }
}

/// Where a field's type stands.
fn span(field: &Field<'_>) -> Span {
    here(field.ty.span())
}

/// The same identifier, as generated code says it.
fn own(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(here(ident.span()));
    ident
}

/// These tokens at one place, so that rustc shows the place and not the whole derive.
pub(crate) fn at(span: Span, tokens: impl ToTokens) -> TokenStream {
    let tokens = tokens.to_token_stream().into_iter();
    tokens
        .map(|mut token| {
            token.set_span(here(span));
            token
        })
        .collect()
}

/// This place, but known as generated: lints are for what people write.
fn here(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}
