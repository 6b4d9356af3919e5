//! E10: clients of several processes read and write the same few ids while workers are killed; what each
//! of them saw is linearizable, id by id.

use std::{collections::HashMap, fs::File};

use tests::actor::{Answer, Line, Log, Operation};

use super::{Scene, seed, sized, tell, turn, workers::Plan};
use crate::histories::{Begun, Histories};

const IDS: i64 = 30;
const PROCESSES: u64 = 2;
const CLIENTS: u64 = 3;

#[tokio::test]
async fn what_clients_see_while_workers_are_killed_is_linearizable() {
    let _turn = turn().await;
    seed();
    // As many operations as PROTOCOL asks for; patches and comparisons do not exist yet.
    let (operations, kills, pauses) = sized((6_000, 15, 3), (30_000, 60, 12));
    let mut scene = Scene::new(&[]).await;
    File::create(scene.clients_log()).unwrap();
    for _ in 0..PROCESSES {
        // One in ten is an eviction, of which the history says nothing.
        let each = operations * 10 / 9 / (PROCESSES * CLIENTS) as usize + 100;
        scene.clients(CLIENTS, each, IDS);
    }
    let plan = Plan::new(kills, pauses);
    let workers = plan.torment_all(&scene).await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(workers);
    let seen = seen(Log::read(&scene.clients_log()));
    tell(
        "E10",
        format_args!(
            "{} reads and {} writes of {IDS} ids by {} clients, {} of them beside another one of the id, {} \
             reads that found nothing; {kills} kills, {pauses} pauses; linearizable",
            seen.reads,
            seen.writes,
            PROCESSES * CLIENTS,
            seen.beside,
            seen.absent
        ),
    );
    assert_eq!(seen.histories.offences(), Vec::<i64>::new(), "no order explains what was seen");
    assert!(seen.reads + seen.writes >= operations && seen.failed == 0);
    assert!(seen.beside > operations / 100, "the clients did not meet");
    assert!(seen.absent > 0 && history.drainers > kills / 5, "the workers did nothing");
}

/// What a log of clients says.
#[derive(Default)]
struct Seen {
    histories: Histories<i64, Option<String>>,
    reads: usize,
    writes: usize,
    absent: usize,
    failed: usize,
    /// Operations that began while another one of the id was under way.
    beside: usize,
}

fn seen(lines: Vec<Line>) -> Seen {
    let mut seen = Seen::default();
    for id in 0..IDS {
        seen.histories.start(id, None);
    }
    let mut under_way: HashMap<u64, (i64, Begun<i64>)> = HashMap::new();
    for line in lines {
        match line {
            Line::Began { client, id, operation } => {
                seen.beside += usize::from(under_way.values().any(|(other, _)| *other == id));
                let write = match operation {
                    Operation::Get => None,
                    Operation::Save(name) => Some(Some(name)),
                    Operation::Delete => Some(None),
                };
                under_way.insert(client, (id, seen.histories.begin(id, write)));
            }
            Line::Ended { client, answer } => {
                let (_, begun) = under_way.remove(&client).unwrap();
                match answer {
                    Answer::Done => {
                        seen.writes += 1;
                        seen.histories.end(begun, None);
                    }
                    Answer::Found(name) => {
                        seen.reads += 1;
                        seen.absent += usize::from(name.is_none());
                        seen.histories.end(begun, Some(name));
                    }
                    Answer::NotDone => {
                        seen.failed += 1;
                        seen.histories.forget(begun);
                    }
                }
            }
            _ => {}
        }
    }
    seen
}
