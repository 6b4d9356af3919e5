//! E16: futures that are dropped behind every one of their polls: all or nothing, and nobody waits for them.

use std::{cell::Cell, collections::HashMap, future::poll_fn, pin::Pin, task::Poll};

use cached_repo::{Cache, Repository, Strategy};
use futures_util::future::BoxFuture;
use redis::AsyncCommands;
use tokio::time::timeout;

use super::{Audited, Fate, HANG, History, alive, history::Ticket, none, sized, tell, turn, until};
use crate::stage::{On, Over, Stage, Todo, name, todo};

/// Polls a future so often, and drops it unless it has its answer by then.
pub(super) async fn polled<T>(mut future: BoxFuture<'_, T>, polls: usize) -> Option<T> {
    let mut left = polls;
    poll_fn(move |context| {
        left -= 1;
        match Pin::new(&mut future).poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

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

#[tokio::test]
async fn a_call_that_is_dropped_behind_any_poll_is_whole_or_nothing_and_holds_nobody_up() {
    let _turn = turn().await;
    let places =
        [(On::Memory, Over::InProcess), (On::Postgres, Over::Redis), (On::Sqlite, Over::Redis)];
    let (mut drops, mut polls_max) = (0, 0);
    for (on, over) in &places[..sized(2, 3)] {
        for strategy in Strategy::ALL {
            let baseline = alive();
            let scene = Scene::new(*strategy, *on, *over).await;
            for call in CALLS {
                let polls = scene.drop_each(call).await;
                drops += polls - 1;
                polls_max = polls_max.max(polls);
            }
            scene.check().await;
            drop(scene);
            until("no task is left", async || alive() <= baseline).await;
        }
    }
    tell(
        "E16",
        format_args!("{drops} drops, one behind each of up to {polls_max} polls of every call"),
    );
    assert!(polls_max > 5, "the calls have no poll to be dropped behind");
}

struct Scene {
    stage: Stage,
    other: Repository<Todo>,
    history: History,
    /// How many tasks there are when nothing is under way.
    level: Cell<usize>,
}

impl Scene {
    async fn new(strategy: Strategy, on: On, over: Over) -> Self {
        let stage = Stage::new(strategy, cached_repo::Format::Json, on, over).await;
        let other = stage.process().await;
        let scene =
            Self { stage, other, history: History::default(), level: Cell::new(usize::MAX) };
        // Once everything runs that runs all the time.
        for call in CALLS {
            let asked = Asked { ids: [1, 2, 3], name: format!("whole {call:?}") };
            let started = start(&scene.history, &scene.stage, &scene.stage.repo, call, &asked);
            assert!(started.polled(usize::MAX).await);
        }
        scene
    }

    /// Drops a call behind its first poll, its second one, and so on. Answers how many it has.
    async fn drop_each(&self, call: Call) -> usize {
        for polls in 1.. {
            self.level.set(self.level.get().min(alive()));
            let asked = Asked { ids: [1, 2, 3], name: format!("{call:?}-{polls}") };
            if self.stage.strategy != Strategy::RedisOnly {
                self.other.evict("1").await.unwrap();
            }
            // It joins the load of a call that is a read.
            let (repo, began) = (self.stage.repo.clone(), self.history.now());
            let follower = tokio::spawn(async move { repo.get("1").await.unwrap() });
            let started = start(&self.history, &self.stage, &self.stage.repo, call, &asked);
            let is_whole = started.polled(polls).await;
            let Ok(found) = timeout(HANG, follower).await else {
                panic!("{call:?} {polls}: a follower hangs")
            };
            self.judge(began, found.unwrap());
            let began = self.history.now();
            let Ok(found) = timeout(HANG, self.other.get("1")).await else {
                panic!("{call:?} {polls}")
            };
            self.judge(began, found.unwrap());
            if self.stage.is_store_first() {
                until("the call has come to its end", async || alive() <= self.level.get()).await;
                assert_eq!(
                    held(&self.stage, &asked.ids).await,
                    Vec::<String>::new(),
                    "behind {call:?} {polls}"
                );
                self.check_all_or_none(&asked).await;
            }
            if is_whole {
                return polls;
            }
        }
        unreachable!("it has an answer some day")
    }

    fn judge(&self, began: u64, found: Option<Todo>) {
        let found = found.map(|todo| todo.name);
        let offence = self.history.judge_read(1, began, found.as_deref());
        none(&format!("reads under {}", self.stage.strategy), offence.into_iter().collect());
    }

    async fn check_all_or_none(&self, asked: &Asked) {
        let found = self.other.get_many(asked.ids.map(|id| id.to_string())).await.unwrap();
        let written = found.into_iter().filter(|found| name(found.clone()) == asked.name).count();
        let is_of_all = asked.name.starts_with("SaveMany");
        assert!(
            written == 0 || written == if is_of_all { 3 } else { 1 },
            "{written} of {}",
            asked.name
        );
    }

    async fn check(&self) {
        check(&self.history, &self.stage, &[self.stage.repo.clone(), self.other.clone()]).await;
    }
}

/// What must hold when everything that was dropped has come to its end.
pub(super) async fn check(history: &History, stage: &Stage, repos: &[Repository<Todo>]) {
    for repo in repos {
        repo.flush().await.unwrap();
    }
    let strategy = stage.strategy;
    if strategy != Strategy::RedisOnly {
        none(&format!("rows under {strategy}"), history.judge_rows(&rows(stage, history).await));
        none(
            &format!("changes of rows under {strategy}"),
            history.judge_trail(&Audited::written(&stage.gate)),
        );
        until("every process reads what the store has", async || {
            let rows = rows(stage, history).await;
            for repo in repos {
                if read(repo, history).await != rows {
                    return false;
                }
            }
            true
        })
        .await;
    }
    none(&format!("reads under {strategy}"), history.judge_rows(&read(&repos[0], history).await));
    until("no lease and no intent is left", async || held(stage, &history.ids()).await.is_empty())
        .await;
}

async fn read(repo: &Repository<Todo>, history: &History) -> HashMap<i64, String> {
    let ids = history.ids();
    let found = repo.get_many(ids.iter().map(i64::to_string)).await.unwrap();
    ids.into_iter().zip(found).filter_map(|(id, found)| Some((id, found?.name))).collect()
}

/// What the store has.
async fn rows(stage: &Stage, history: &History) -> HashMap<i64, String> {
    // A cache of its own is empty.
    let cache = Cache::builder().no_worker().in_memory();
    let rows = stage.builder(&cache).strategy(Strategy::CacheAside).build().await.unwrap();
    read(&rows, history).await
}

/// The leases and intents of these ids that Redis has.
async fn held(stage: &Stage, ids: &[i64]) -> Vec<String> {
    let mut found = Vec::new();
    if stage.over == Over::Redis {
        let mut raw = stage.raw().await;
        for (what, id) in
            ["lease", "intents"].iter().flat_map(|w| ids.iter().map(move |id| (w, id)))
        {
            let key = format!("{}:@{what}:{id}", entity(stage));
            if raw.exists(&key).await.unwrap() {
                found.push(key);
            }
        }
    }
    found
}

/// What the store calls the stage's entity.
pub(super) fn entity(stage: &Stage) -> String {
    let key = stage.repo.key("1").unwrap();
    key.strip_suffix(":1").unwrap().to_owned()
}
