//! E6: the database is away for long, the journal is full, and memory stays flat.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tests::actor::{Line, MAX_BACKLOG, ON_FULL, STORED};
use tokio::time::sleep;

use super::{Actor, Scene, seed, sized, tell, turn, until};

const TASKS: usize = 4;
const PACE_US: u64 = 2000;
/// What a process may grow by while it can only refuse: buffers of connections, and the allocator's.
const GROWTH_MAX: f64 = 1.5;

#[tokio::test]
async fn an_outage_of_the_database_fills_the_journal_and_no_memory() {
    let _turn = turn().await;
    seed();
    let cap = sized(1024, 5120);
    let outage = Duration::from_secs(sized(3, 45));
    let mut scene = Scene::new(&[]).await;
    let cap_text = cap.to_string();
    let mut writers = ["block", "reject", "write_through"].map(|on_full| {
        scene.writer_until_told(TASKS, PACE_US, &[(MAX_BACKLOG, &cap_text), (ON_FULL, on_full)])
    });
    until("all processes write", async || writers.iter().all(|w| w.acknowledged() > 50)).await;
    scene.database.server.stop();
    // Every partition has its share.
    until("the journal is full", async || scene.backlog().await > cap * 4 / 5).await;
    until("writes are refused", async || writers.iter().all(|w| refused(w) > 0)).await;
    let before = writers.each_ref().map(|writer| writer.process.resident_kib());
    let (begin, refused_before) = (Instant::now(), writers.each_ref().map(refused));
    let mut highest = 0;
    while begin.elapsed() < outage {
        highest = highest.max(scene.backlog().await);
        sleep(Duration::from_millis(20)).await;
    }
    until("each one has refused more", async || {
        writers.iter().zip(refused_before).all(|(writer, before)| refused(writer) > before + 5)
    })
    .await;
    let after = writers.each_ref().map(|writer| writer.process.resident_kib());
    assert!(highest <= cap, "{highest} records of {cap}");
    scene.database.server.restart().await;
    until("the drain catches up", async || scene.backlog().await < cap / 10).await;
    let acknowledged = writers.each_ref().map(Actor::acknowledged);
    until("all processes write again", async || {
        writers.iter().zip(acknowledged).all(|(writer, before)| writer.acknowledged() > before + 50)
    })
    .await;
    let mut lines = Vec::new();
    for writer in &mut writers {
        writer.process.signal("TERM");
        assert!(writer.process.ends_well());
        lines.extend(writer.lines());
    }
    let (through, kinds) = (count(&lines, STORED), kinds(&writers));
    let _worker = scene.worker();
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    let growth = before.iter().zip(&after).map(|(a, b)| *b as f64 / *a as f64);
    let growth = growth.fold(0.0, f64::max);
    tell(
        "E6",
        format_args!(
            "stopped for {outage:?}: {highest} of {cap} records at most, memory grew by a factor of \
             {growth:.2} at most; {} writes acknowledged, {through} written through, {} refused",
            history.acknowledged, history.failed
        ),
    );
    assert!(growth < GROWTH_MAX, "{before:?} KiB have become {after:?}");
    // The third one goes to the store, which does not answer.
    let full = kinds.iter().map(|kinds| kinds.iter().any(|error| error.contains("as many writes")));
    assert_eq!(full.collect::<Vec<_>>(), [true, true, false], "{kinds:?}");
}

/// How many writes had no effect.
fn refused(writer: &Actor) -> usize {
    let is_refused = |line: &&Line| matches!(line, Line::Failed { unknown: false, .. });
    writer.lines().iter().filter(is_refused).count()
}

/// How often this stands in place of an error.
fn count(lines: &[Line], text: &str) -> usize {
    let is_meant = |line: &&Line| matches!(line, Line::Failed { error, .. } if error == text);
    lines.iter().filter(is_meant).count()
}

/// The errors of each process.
fn kinds(writers: &[Actor]) -> Vec<BTreeSet<String>> {
    let errors = |writer: &Actor| {
        let errors = writer.lines().into_iter().filter_map(|line| match line {
            Line::Failed { id, error, unknown: false, .. } => {
                Some(error.replace(&id.to_string(), "…"))
            }
            _ => None,
        });
        errors.collect()
    };
    writers.iter().map(errors).collect()
}
