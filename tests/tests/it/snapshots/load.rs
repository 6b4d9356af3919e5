//! Moving an entity while others write to it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cached_repo::{Outcome, Repository, Strategy};
use tokio::task::JoinHandle;

use super::{keeper, plain, table};
use crate::{
    stage::{On, Over, Todo, WITH_STORE, name, todo},
    write_behind::scene::{Process, Scene},
};

const IDS: usize = 30;

/// What each writer was told, by id: the last value that was acknowledged, and one of which nobody knows.
type Told = BTreeMap<String, (String, Option<String>)>;

/// Writes to ids of its own until it is told to stop or refused for good.
fn write(process: Process, writer: usize, stop: &Arc<AtomicBool>) -> JoinHandle<Told> {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let mut told = Told::new();
        for round in 0.. {
            let id = format!("{writer}-{}", round % IDS);
            let value = if round % 7 == 3 { "none".to_owned() } else { format!("{round}") };
            let written = match &*value {
                "none" => process.repo.delete(&id).await,
                _ => process.repo.save(&todo(&id, &value)).await,
            };
            match written {
                Ok(_) => drop(told.insert(id, (value, None))),
                Err(error) if error.outcome() == Outcome::NotApplied => {}
                Err(_) => told.entry(id).or_insert(("none".to_owned(), None)).1 = Some(value),
            }
            if stop.load(Ordering::SeqCst) {
                break;
            }
            tokio::task::yield_now().await;
        }
        told
    })
}

async fn compare(repo: &Repository<Todo>, told: Vec<Told>, what: &str) {
    for (id, (acknowledged, unknown)) in told.into_iter().flatten() {
        let found = name(repo.get(&*id).await.unwrap());
        let expected = found == acknowledged || Some(&found) == unknown.as_ref();
        assert!(expected, "{what}: {id} is {found}, acknowledged was {acknowledged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_under_load_loses_no_acknowledged_write() {
    for (on, over) in [(On::Sqlite, Over::Redis), (On::Postgres, Over::InProcess)] {
        let scene = Scene::new(on, over).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..3 {
            writers.push(write(plain(&scene).await, writer, &stop));
        }
        let only = keeper(&scene).await;
        only.repo.snapshot_now().await.unwrap();
        only.repo.export().await.unwrap();
        // They go on trying.
        let after = scene.under(Strategy::CacheAside).await;
        stop.store(true, Ordering::SeqCst);
        let mut told = Vec::new();
        for writer in writers {
            told.push(writer.await.unwrap());
        }
        assert!(told.iter().all(|told| !told.is_empty()));
        compare(&after.repo, told.clone(), "through the cache").await;
        let ids: Vec<String> = told.iter().flat_map(|told| told.keys().cloned()).collect();
        let rows = table(&scene, ids.iter()).await;
        for (id, (value, unknown)) in told.into_iter().flatten() {
            let found = rows.get(&id).map_or("none", |todo| &*todo.name);
            assert!(found == value || Some(found) == unknown.as_deref(), "{id}: {found}, {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_under_load_loses_no_acknowledged_write() {
    for (on, over) in [(On::Sqlite, Over::Redis), (On::Postgres, Over::InProcess)] {
        let scene = Scene::new(on, over).await;
        scene.open().await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for (writer, strategy) in WITH_STORE.into_iter().enumerate() {
            writers.push(write(scene.under(strategy).await, writer, &stop));
        }
        let worker = scene.worker().await;
        worker.repo.flush().await.unwrap();
        let only = plain(&scene).await;
        only.repo.import().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        let mut told = Vec::new();
        for writer in writers {
            told.push(writer.await.unwrap());
        }
        assert!(told.iter().any(|told| !told.is_empty()));
        compare(&only.repo, told, "after the import").await;
    }
}
