//! What the store, Redis and the other processes of an entity must agree on before a repository exists.

use futures_util::future::try_join_all;

use crate::{
    backend::{CacheError, Side},
    cache::Entries,
    error::{Error, ErrorKind, Result},
    journal::{moving, recorded, unreadable},
    key::Keyspace,
    layout::{FACT, Layout, Recorded},
    store::{Entry, Ledger, SharedStore},
    strategy::Strategy,
};

/// What the processes of an entity must agree on is written in this version of the rules.
const PROTOCOL: &str = "1";

/// What a store says of itself.
pub(super) struct CheckedStore {
    identity: String,
    /// Whether it takes journals.
    pub(super) journals: bool,
    /// What it knows of the entity's partitions, if their number was ever changed.
    recorded: Option<Recorded>,
}

/// Refuses a store that lacks what writes need.
pub(super) async fn store(store: &SharedStore, entries: &Entries) -> Result<CheckedStore> {
    let description = store.describe(&entries.schema).await.map_err(|e| e.into_error())?;
    if !description.missing.is_empty() {
        return Err(Error::configuration(format!(
            "the store is not ready. {} `create_tables` of the store makes tables that are missing, \
             and `schema_sql` tells the SQL for a person to run",
            description.missing.join(" ")
        )));
    }
    let mut columns = entries.schema.columns().iter();
    if let Some(column) = columns.find(|c| c.is_generated()).filter(|_| !description.computes) {
        return Err(Error::configuration(format!(
            "the field `{}` is `generated`, and this store computes no columns: take the attribute out",
            column.name()
        )));
    }
    let journals = description.journals;
    let recorded = match journals {
        true => recorded(store, entries.keys.ledger_name()).await?.map(|(recorded, _)| recorded),
        false => None,
    };
    match store.ledger(Ledger::Identity).await.map_err(|e| e.into_error())? {
        Entry::Identity(identity) => Ok(CheckedStore { identity, journals, recorded }),
        _ => Err(Error::new(ErrorKind::Internal, "the store did not answer its identity")),
    }
}

/// Refuses what another process of this entity was told differently, but for the number of partitions:
/// answers what is recorded of those.
pub(super) async fn registry(entries: &Entries, store: Option<CheckedStore>) -> Result<Recorded> {
    let known = store.as_ref().and_then(|store| store.recorded);
    let journals = store.as_ref().is_some_and(|store| store.journals);
    let wanted = known.unwrap_or(Recorded::settled(entries.keys.layout())).to_string();
    let mut facts = vec![("protocol", PROTOCOL.to_owned()), (FACT, wanted)];
    if let Some(store) = store {
        facts.push(("store", store.identity));
        // Its journal is drained by processes that go by the prefix.
        facts.push(("table", entries.schema.table().to_owned()));
    }
    let registering = entries.backend.register(&entries.keys, &facts);
    let recorded = registering.await.map_err(CacheError::into_error)?;
    let registry = entries.keys.registry();
    let mut partitions = "";
    for ((name, ours), theirs) in facts.iter().zip(&recorded) {
        if *name == FACT {
            partitions = theirs;
        }
        if ours == theirs || *name == FACT {
            continue;
        }
        return Err(Error::configuration(match *name {
            "store" => format!(
                "this Redis holds entries of another database for this entity (identity {theirs}, \
                 this one is {ours}): connect to that one, use another namespace, or delete the key \
                 `{registry}` if the database was really replaced"
            ),
            name => format!(
                "other processes use {name} = {theirs} for this entity, this one {ours}: say the \
                 same everywhere (it is recorded in the key `{registry}`)"
            ),
        }));
    }
    let theirs: Recorded = partitions.parse().map_err(|()| unreadable(partitions))?;
    match known {
        // The store's word counts: a change was cut off before Redis knew of it, or Redis forgot it.
        Some(known) if theirs.now.first <= known.now.first => {
            amend(entries, partitions, known).await?;
            Ok(known)
        }
        None if !journals || theirs.now.first == 0 => Ok(theirs),
        _ => Err(Error::configuration(format!(
            "Redis knows of a later change of the number of partitions ({theirs}) than the database: \
             that was restored to an older state or replaced. If that is to be so, stop all processes of \
             this entity and delete the field `{FACT}` of the key `{registry}`"
        ))),
    }
}

/// Tells Redis what the store knows of the entity's partitions.
async fn amend(entries: &Entries, before: &str, known: Recorded) -> Result<()> {
    let known = known.to_string();
    if before == known {
        return Ok(());
    }
    let amending = entries.backend.amend(&entries.keys, FACT, before, &known);
    // If another process was faster, it knows more.
    amending.await.map(drop).map_err(CacheError::into_error)
}

/// The partitions of the entity; refuses another number than is recorded.
pub(super) fn layout(recorded: Recorded, keys: &Keyspace) -> Result<Layout> {
    let (theirs, ours) = (recorded.now.count, keys.layout().count);
    match recorded.next {
        Some(next) => Err(moving(theirs, next)),
        None if theirs == ours => Ok(recorded.now),
        None => Err(Error::configuration(format!(
            "other processes use partitions = {theirs} for this entity, this one {ours}: say the same \
             everywhere (it is recorded in the key `{}`), or call `RepositoryBuilder::repartition` \
             here, which changes the number to {ours}",
            keys.registry()
        ))),
    }
}

/// Refuses a strategy that may not write to the entity, because of where it was copied to.
pub(super) async fn sides(entries: &Entries, strategy: Strategy, has_store: bool) -> Result<()> {
    let (keys, backend) = (&entries.keys, &entries.backend);
    let metas = keys.layout().range().map(|partition| backend.meta(keys, partition));
    for meta in try_join_all(metas).await.map_err(CacheError::into_error)? {
        match meta.standing.side {
            Side::Kept | Side::Exporting | Side::Leaving if strategy.needs_store() => {
                return Err(Error::configuration(format!(
                    "`redis_only` keeps this entity, with snapshots, so `{strategy}` must not write to \
                     the store: first call `Repository::export` on a repository under `redis_only`"
                )));
            }
            Side::Importing if strategy.needs_store() => {
                return Err(Error::configuration(
                    "this entity is being imported, or that was cut off: call `Repository::import` on a \
                     repository under `redis_only`, which goes on, and `export` if you want it back",
                ));
            }
            // With a store it can be imported.
            Side::Stored if strategy == Strategy::RedisOnly && !has_store => {
                return Err(Error::configuration(
                    "this entity was exported, and the store keeps it now: give the repository the store \
                     and call `Repository::import`, or use a strategy with a store",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses to change the partitions of an entity that is, or was, on a side of its own: new ones would not
/// know who may write.
pub(super) async fn unmoved(entries: &Entries, layout: Layout) -> Result<()> {
    let (keys, backend) = (&entries.keys, &entries.backend);
    let metas = layout.range().map(|partition| backend.meta(keys, partition));
    let metas = try_join_all(metas).await.map_err(CacheError::into_error)?;
    if metas.iter().all(|meta| meta.standing.side == Side::Open) {
        return Ok(());
    }
    Err(Error::configuration(
        "this entity is kept by `redis_only` with snapshots, or was exported from there, and its partitions \
         know who may write to it: their number cannot be changed. With another prefix and the same table \
         it may have another one: first move what Redis keeps to the store (`Repository::export`), then \
         stop all processes of this prefix and start them with the other one; there, `Repository::import` \
         lets `redis_only` keep it again",
    ))
}
