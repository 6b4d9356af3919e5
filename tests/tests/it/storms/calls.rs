//! The calls of a repository that can be dropped, each in its future.

use cached_repo::{Repository, Strategy};
use futures_util::future::BoxFuture;

use super::{Fate, History, history::Ticket, polled};
use crate::stage::{Stage, Todo, todo};

/// What a repository and its cache can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Get,
    GetMany,
    Exists,
    Save,
    SaveMany,
    Delete,
    Evict,
    SaveCached,
    Flush,
    FlushId,
    Persisted,
    Build,
    Backlog,
    Health,
}

pub(super) const CALLS: [Call; 14] = [
    Call::Get,
    Call::GetMany,
    Call::Exists,
    Call::Save,
    Call::SaveMany,
    Call::Delete,
    Call::Evict,
    Call::SaveCached,
    Call::Flush,
    Call::FlushId,
    Call::Persisted,
    Call::Build,
    Call::Backlog,
    Call::Health,
];

/// What is written of which ids.
pub(super) struct Asked {
    pub(super) ids: [i64; 3],
    pub(super) name: String,
}

/// A call that may be dropped, and the writes that it makes.
pub(super) struct Started<'a> {
    history: &'a History,
    tickets: Vec<Ticket>,
    future: BoxFuture<'static, Fate>,
}

impl Started<'_> {
    /// Whether the call had its answer after so many polls.
    pub(super) async fn polled(self, polls: usize) -> bool {
        let Some(fate) = polled(self.future, polls).await else { return false };
        self.tickets.into_iter().for_each(|ticket| self.history.end(ticket, fate));
        true
    }
}

/// Begins a call of a repository.
pub(super) fn start<'a>(
    history: &'a History,
    stage: &Stage,
    repo: &Repository<Todo>,
    call: Call,
    asked: &Asked,
) -> Started<'a> {
    let Asked { ids, name } = asked;
    let (id, keys) = (ids[0].to_string(), ids.map(|id| id.to_string()));
    let entities = keys.clone().map(|id| todo(&id, name));
    let (repo, cache) = (repo.clone(), stage.cache().clone());
    let is_only = repo.strategy() == Strategy::RedisOnly;
    let builder = stage.builder(&cache).strategy(repo.strategy());
    let written: &[i64] = match call {
        Call::Save | Call::Delete | Call::Persisted => &ids[..1],
        Call::SaveMany => ids,
        _ => &[],
    };
    let name = (call != Call::Delete).then_some(&**name);
    let tickets = written.iter().map(|id| history.begin(*id, name)).collect();
    let future = async move {
        let written = match call {
            Call::Save => repo.save(&entities[0]).await,
            Call::SaveMany => repo.save_many(&entities).await.map(|mut all| all.remove(0)),
            Call::Delete => repo.delete(&*id).await,
            Call::Persisted => {
                let saved = repo.save(&entities[0]).await;
                if let (Ok(saved), false) = (&saved, is_only) {
                    saved.persisted().await.unwrap();
                }
                saved
            }
            read => {
                match read {
                    Call::Get => drop(repo.get(&*id).await.unwrap()),
                    Call::GetMany => drop(repo.get_many(keys).await.unwrap()),
                    Call::Exists => drop(repo.exists(&*id).await.unwrap()),
                    Call::Evict if !is_only => drop(repo.evict(&*id).await.unwrap()),
                    Call::FlushId => repo.flush_id(&*id).await.unwrap(),
                    Call::Build => drop(builder.build().await.unwrap()),
                    Call::Backlog => drop(cache.backlog().await.unwrap()),
                    Call::Health => drop(cache.health().await),
                    _ => repo.flush().await.unwrap(),
                }
                return Fate::Acknowledged;
            }
        };
        Fate::of(&written)
    };
    Started { history, tickets, future: Box::pin(future) }
}
