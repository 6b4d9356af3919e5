//! E16: futures that are dropped behind every one of their polls: all or nothing, and nobody waits for them.

use std::{cell::Cell, collections::HashMap};

use cached_repo::{Cache, Repository, Strategy};
use redis::AsyncCommands;
use tokio::time::timeout;

use super::{
    Audited, HANG, History, alive,
    calls::{Asked, CALLS, Call, start},
    none, sized, tell, turn, until,
};
use crate::stage::{On, Over, Stage, Todo, name};

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
            // One that is alone leads what it loads; another reader may be faster.
            let is_whole = [
                self.drop_behind(call, polls, false).await,
                self.drop_behind(call, polls, true).await,
            ];
            if is_whole == [true; 2] {
                return polls;
            }
        }
        unreachable!("it has an answer some day")
    }

    /// Drops a call behind so many polls, while another one of this process reads what it reads. Answers
    /// whether it had its answer before.
    async fn drop_behind(&self, call: Call, polls: usize, is_followed: bool) -> bool {
        self.level.set(self.level.get().min(alive()));
        let asked = Asked { ids: [1, 2, 3], name: format!("{call:?}-{polls}-{is_followed}") };
        if self.stage.strategy != Strategy::RedisOnly {
            self.other.evict("1").await.unwrap();
        }
        let (repo, began) = (self.stage.repo.clone(), self.history.now());
        let follower =
            is_followed.then(|| tokio::spawn(async move { repo.get("1").await.unwrap() }));
        let started = start(&self.history, &self.stage, &self.stage.repo, call, &asked);
        let is_whole = started.polled(polls).await;
        if let Some(follower) = follower {
            let Ok(found) = timeout(HANG, follower).await else {
                panic!("behind {call:?} {polls} a follower hangs")
            };
            self.judge(began, found.unwrap());
        }
        if self.stage.is_store_first() {
            until("the call has come to its end", async || alive() <= self.level.get()).await;
            assert_eq!(
                held(&self.stage, &asked.ids).await,
                Vec::<String>::new(),
                "behind {call:?} {polls}"
            );
            self.check_all_or_none(&asked).await;
        }
        let began = self.history.now();
        let Ok(found) = timeout(HANG, self.other.get("1")).await else {
            panic!("behind {call:?} {polls}")
        };
        self.judge(began, found.unwrap());
        is_whole
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
