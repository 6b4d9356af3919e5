//! Random operations of two processes, in random formats, against a map, with virtual time; a failing case
//! shrinks.

use std::{collections::HashMap, time::Duration};

use cached_repo::{ErrorKind, Format, Incident, Outcome, Repository, Strategy, store::StoreError};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::Strategy as Generator,
    test_runner::TestCaseError,
};
use tests::Point;

use crate::stage::{On, Over, Stage, Todo, todo};

/// Few ids, so that operations meet.
const IDS: [&str; 4] = ["a", "b", ":", "é"];

/// What one of the two processes does.
#[derive(Clone, Debug)]
enum Step {
    Save {
        process: usize,
        id: usize,
        name: u8,
    },
    SaveMany {
        process: usize,
        names: Vec<(usize, u8)>,
    },
    Delete {
        process: usize,
        id: usize,
    },
    Get {
        process: usize,
        id: usize,
    },
    GetMany {
        process: usize,
        ids: Vec<usize>,
    },
    Exists {
        process: usize,
        id: usize,
    },
    Evict {
        process: usize,
        id: usize,
    },
    /// The store refuses the next write, or its answer is lost after it took effect.
    Fail {
        process: usize,
        id: usize,
        name: u8,
        unknown: bool,
    },
    Wait {
        seconds: u64,
    },
    Flush {
        process: usize,
    },
    /// The server is another one now, with the same data.
    Restart,
    /// The store cannot be reached, until it can. Only where writes can do without it.
    Down,
    Up,
}

fn step() -> impl Generator<Value = Step> {
    let (process, id) = (0..2_usize, 0..IDS.len());
    prop_oneof![
        4 => (process.clone(), id.clone(), any::<u8>())
            .prop_map(|(process, id, name)| Step::Save { process, id, name }),
        1 => (process.clone(), vec((id.clone(), any::<u8>()), 0..5))
            .prop_map(|(process, names)| Step::SaveMany { process, names }),
        2 => (process.clone(), id.clone()).prop_map(|(process, id)| Step::Delete { process, id }),
        6 => (process.clone(), id.clone()).prop_map(|(process, id)| Step::Get { process, id }),
        2 => (process.clone(), vec(id.clone(), 0..6))
            .prop_map(|(process, ids)| Step::GetMany { process, ids }),
        1 => (process.clone(), id.clone()).prop_map(|(process, id)| Step::Exists { process, id }),
        1 => (process.clone(), id.clone()).prop_map(|(process, id)| Step::Evict { process, id }),
        1 => (process.clone(), id, any::<u8>(), any::<bool>())
            .prop_map(|(process, id, name, unknown)| Step::Fail { process, id, name, unknown }),
        2 => (0..4000_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => process.clone().prop_map(|process| Step::Flush { process }),
        1 => Just(Step::Restart),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
    ]
}

/// In which format a process writes.
fn format() -> impl Generator<Value = Format> {
    (0..Format::ALL.len()).prop_map(|index| Format::ALL[index])
}

/// Two processes and what they should see.
struct Machine {
    stage: Stage,
    processes: [Repository<Todo>; 2],
    model: HashMap<&'static str, Todo>,
    is_down: bool,
}

impl Machine {
    async fn new(strategy: Strategy, formats: [Format; 2]) -> Self {
        let stage = Stage::new(strategy, formats[0], On::Memory, Over::InProcess).await;
        let other = stage.builder(stage.cache()).format(formats[1]).build().await.unwrap();
        let processes = [stage.process().await, other];
        Self { stage, processes, model: HashMap::new(), is_down: false }
    }

    async fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        if self.is_down {
            return self.run_while_down(step).await;
        }
        match step {
            Step::Save { process, id, name } => {
                let entity = todo(IDS[id], &name.to_string());
                let _ = self.processes[process].save(&entity).await.unwrap();
                self.model.insert(IDS[id], entity);
            }
            Step::SaveMany { process, names } => {
                let all: Vec<_> =
                    names.iter().map(|(id, name)| todo(IDS[*id], &name.to_string())).collect();
                let saved = self.processes[process].save_many(&all).await.unwrap();
                prop_assert_eq!(saved.len(), all.len());
                self.model.extend(names.iter().map(|(id, _)| IDS[*id]).zip(all));
            }
            Step::Delete { process, id } => {
                let _ = self.processes[process].delete(IDS[id]).await.unwrap();
                self.model.remove(IDS[id]);
            }
            Step::Get { process, id } => {
                let found = self.processes[process].get(IDS[id]).await.unwrap();
                prop_assert_eq!(found.as_ref(), self.model.get(IDS[id]));
            }
            Step::GetMany { process, ids } => {
                let ids: Vec<_> = ids.into_iter().map(|id| IDS[id]).collect();
                let found = self.processes[process].get_many(ids.clone()).await.unwrap();
                let expected: Vec<_> = ids.iter().map(|id| self.model.get(id).cloned()).collect();
                prop_assert_eq!(found, expected);
            }
            Step::Exists { process, id } => {
                let exists = self.processes[process].exists(IDS[id]).await.unwrap();
                prop_assert_eq!(exists, self.model.contains_key(IDS[id]));
            }
            Step::Evict { process, id } => {
                let evicted = self.processes[process].evict(IDS[id]).await;
                prop_assert_eq!(evicted.is_ok(), self.stage.strategy.needs_store());
            }
            Step::Fail { process, id, name, unknown } => {
                self.fail(process, IDS[id], name, unknown).await?;
            }
            Step::Flush { process } => self.flush(process).await?,
            Step::Restart => self.stage.cache().suffer(Incident::Restart).await.unwrap(),
            Step::Down if self.stage.strategy == Strategy::WriteBehind => {
                self.stage.gate.down();
                self.is_down = true;
            }
            Step::Down | Step::Up => {}
            Step::Wait { seconds } => tokio::time::advance(Duration::from_secs(seconds)).await,
        }
        Ok(())
    }

    /// What is journaled or cached is read, and the rest fails without an effect.
    async fn run_while_down(&mut self, step: Step) -> Result<(), TestCaseError> {
        let unreachable = |error: cached_repo::Error| {
            prop_assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{}", error);
            prop_assert_eq!(error.outcome(), Outcome::NotApplied);
            Ok(())
        };
        match step {
            Step::Save { process, id, name } => {
                let entity = todo(IDS[id], &name.to_string());
                match self.processes[process].save(&entity).await {
                    Ok(_) => drop(self.model.insert(IDS[id], entity)),
                    // A partition's first write, and that after a restart, ask the store.
                    Err(error) => unreachable(error)?,
                }
            }
            Step::Delete { process, id } => match self.processes[process].delete(IDS[id]).await {
                Ok(_) => drop(self.model.remove(IDS[id])),
                Err(error) => unreachable(error)?,
            },
            Step::Get { process, id } => match self.processes[process].get(IDS[id]).await {
                Ok(found) => prop_assert_eq!(found.as_ref(), self.model.get(IDS[id])),
                Err(error) => unreachable(error)?,
            },
            Step::Restart => self.stage.cache().suffer(Incident::Restart).await.unwrap(),
            Step::Wait { seconds } => tokio::time::advance(Duration::from_secs(seconds)).await,
            Step::Up => {
                self.stage.gate.up();
                self.is_down = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits until everything is drained, through recoveries.
    async fn flush(&self, process: usize) -> Result<(), TestCaseError> {
        while let Err(error) = self.processes[process].flush().await {
            prop_assert_eq!(error.kind(), ErrorKind::Recovered, "{}", error);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// At rest the store holds what the map holds, whatever is cached.
    async fn finish(self) -> Result<(), TestCaseError> {
        self.stage.gate.up();
        for process in 0..self.processes.len() {
            self.flush(process).await?;
        }
        for id in IDS {
            if self.stage.strategy.needs_store() {
                prop_assert!(self.processes[0].evict(id).await.unwrap());
            }
            let found = self.processes[0].get(id).await.unwrap();
            prop_assert_eq!(found.as_ref(), self.model.get(id));
        }
        Ok(())
    }

    async fn fail(
        &mut self,
        process: usize,
        id: &'static str,
        name: u8,
        unknown: bool,
    ) -> Result<(), TestCaseError> {
        if !self.stage.strategy.needs_store() {
            return Ok(());
        }
        let (point, failure) = match unknown {
            true => (Point::AfterApply, StoreError::unknown("lost")),
            false => (Point::BeforeApply, StoreError::record("refused")),
        };
        self.stage.gate.fail(point, None, failure);
        let entity = todo(id, &name.to_string());
        if self.stage.strategy == Strategy::WriteBehind {
            // The drain finds out by itself what became of it.
            let saved = self.processes[process].save(&entity).await.unwrap();
            self.model.insert(id, entity);
            if let Err(error) = saved.persisted().await {
                prop_assert_eq!(error.kind(), ErrorKind::Recovered, "{}", error);
                self.flush(process).await?;
            }
            return Ok(());
        }
        let error = self.processes[process].save(&entity).await.unwrap_err();
        if unknown {
            prop_assert_eq!(error.outcome(), Outcome::Unknown);
            self.model.insert(id, entity);
        } else {
            prop_assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Refused, Outcome::NotApplied)
            );
        }
        Ok(())
    }
}

fn holds(strategy: Strategy, formats: [Format; 2], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut machine = Machine::new(strategy, formats).await;
        for step in steps {
            machine.run(step).await?;
        }
        machine.finish().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cache_aside_reads_what_the_map_holds(formats in [format(), format()], steps in vec(step(), 1..60)) {
        holds(Strategy::CacheAside, formats, steps)?;
    }

    #[test]
    fn read_through_reads_what_the_map_holds(formats in [format(), format()], steps in vec(step(), 1..60)) {
        holds(Strategy::ReadThrough, formats, steps)?;
    }

    #[test]
    fn write_through_reads_what_the_map_holds(formats in [format(), format()], steps in vec(step(), 1..60)) {
        holds(Strategy::WriteThrough, formats, steps)?;
    }

    #[test]
    fn write_behind_reads_what_the_map_holds(formats in [format(), format()], steps in vec(step(), 1..60)) {
        holds(Strategy::WriteBehind, formats, steps)?;
    }

    #[test]
    fn redis_only_reads_what_the_map_holds(formats in [format(), format()], steps in vec(step(), 1..60)) {
        holds(Strategy::RedisOnly, formats, steps)?;
    }
}
