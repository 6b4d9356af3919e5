//! A process that is paused, or ends, in the middle of a move, while others make that move and others.

use std::{collections::BTreeMap, iter};

use cached_repo::{
    ErrorKind, Repository, Strategy,
    failpoint::{self, Point},
    store::{Entry, Ledger, Store},
};

use super::plain;
use crate::{
    stage::{On, Over, Todo, name, todo},
    write_behind::scene::{Process, Scene},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Import,
    Export,
}
pub(super) use Way::{Export, Import};

impl Way {
    fn back(self) -> Self {
        if self == Import { Export } else { Import }
    }

    pub(super) async fn go(self, process: &Process) -> cached_repo::Result<()> {
        match self {
            Import => process.repo.import().await.map(drop),
            Export => process.repo.export().await.map(drop),
        }
    }
}

/// What others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    /// The same move.
    Finish,
    /// That, and the way back.
    Back,
    /// And when the paused one goes on they are on the way back.
    GoingBack,
    /// There, back, and when it goes on they are at the same move once more.
    Again,
}
use Meanwhile::{Again, Back, Finish, GoingBack};

/// All points that somebody passes who moves an entity.
const POINTS: [(Way, &[Point]); 2] = [
    (
        Import,
        &[
            Point::SidesSeen,
            Point::EntriesFound,
            Point::SidesTurned,
            Point::JournalFenced,
            Point::EpochSeen,
            Point::RowsRead,
            Point::MoveDone,
        ],
    ),
    (
        Export,
        &[
            Point::PositionRead,
            Point::RecordsRead,
            Point::Committed,
            Point::Acknowledged,
            Point::SidesSeen,
            Point::SidesTurned,
            Point::RestCopied,
            Point::SidesLeaving,
            Point::EpochSeen,
            Point::EntriesFound,
            Point::MoveDone,
        ],
    ),
];

/// Those that it passes at each partition.
const EACH: [(Way, &[Point]); 2] = [
    (Import, &[Point::SideTaken, Point::JournalFenced, Point::EpochSeen, Point::MoveDone]),
    (Export, &[Point::SideTaken, Point::SidesLeaving, Point::EpochSeen, Point::MoveDone]),
];
const PARTITIONS: u32 = 3;

/// Each point, and each between two partitions.
fn visits() -> impl Iterator<Item = (Way, Point, usize)> {
    let all = |visit| {
        move |(way, points): (Way, &'static [Point])| {
            points.iter().map(move |&point| (way, point, visit))
        }
    };
    POINTS.into_iter().flat_map(all(1)).chain(EACH.into_iter().flat_map(all(2)))
}

#[tokio::test(start_paused = true)]
async fn a_mover_that_is_paused_over_other_moves_changes_nothing_of_them() {
    everywhere(Over::InProcess, &[Finish, Back, GoingBack, Again]).await;
}

#[tokio::test]
async fn on_redis_a_paused_mover_changes_nothing_of_other_moves() {
    // The side is the same then, so that nothing but the token tells.
    everywhere(Over::Redis, &[Again]).await;
}

async fn everywhere(over: Over, courses: &[Meanwhile]) {
    for (way, point, visit) in visits() {
        for &meanwhile in courses {
            let case = format!("{over:?} {way:?} {point:?} {visit} {meanwhile:?}");
            Course::begin(over, way).await.run((point, visit), meanwhile, &case).await;
        }
    }
}

/// Its future is dropped, so that it says no last word.
#[tokio::test(start_paused = true)]
async fn a_mover_that_is_dropped_anywhere_is_followed_by_another() {
    for (way, point, visit) in visits() {
        let case = format!("{way:?} {point:?} {visit}");
        Course::begin(Over::InProcess, way).await.cut_off((point, visit), &case).await;
    }
}

/// An entity that is moved, and those who use it.
pub(super) struct Course {
    pub(super) scene: Scene,
    over: Over,
    way: Way,
    only: Process,
    through: Process,
    /// What was acknowledged, by id.
    model: BTreeMap<String, String>,
}

impl Course {
    /// The entity is where the move begins, and was on the other side before.
    pub(super) async fn begin(over: Over, way: Way) -> Self {
        let scene = Scene::new(On::Memory, over).await.in_parts(PARTITIONS);
        let through = scene.under(Strategy::WriteThrough).await;
        let only = plain(&scene).await;
        let mut course = Self { scene, over, way, only, through, model: BTreeMap::new() };
        course.write(Export, "first").await;
        course.go(Import).await;
        if way == Import {
            course.go(Export).await;
        }
        course
    }

    /// Others make a whole move, and write then.
    async fn go(&mut self, way: Way) {
        way.go(&self.only).await.unwrap();
        self.write(way, &format!("after {way:?} {}", self.model.len())).await;
    }

    async fn write(&mut self, way: Way, step: &str) {
        let repo = self.repo(way);
        repo.save(&todo("changed", step)).await.unwrap();
        repo.save(&todo(step, step)).await.unwrap();
        let gone = self.model.keys().rfind(|id| *id != "changed").cloned();
        if let Some(gone) = &gone {
            repo.delete(&**gone).await.unwrap();
        }
        for id in ["changed", step] {
            self.model.insert(id.to_owned(), step.to_owned());
        }
        gone.map(|gone| self.model.insert(gone, "none".to_owned()));
    }

    fn repo(&self, way: Way) -> Repository<Todo> {
        if way == Import { self.only.repo.clone() } else { self.through.repo.clone() }
    }

    /// As if the paused one had not said anything for a while. In process time passes by itself.
    pub(super) async fn forget_its_rights(&self) {
        if self.over == Over::Redis {
            let mover = format!("{}:@mover", self.scene.entity());
            let copier = self.scene.own_key("copier");
            let of = |partition| format!("{}{partition}", copier.trim_end_matches('0'));
            let keys: Vec<_> = iter::once(mover).chain((0..PARTITIONS).map(of)).collect();
            let survey = format!("{}:@survey", self.scene.entity());
            let mut rights = redis::pipe();
            rights.del(&keys).ignore().hdel(survey, "token").ignore();
            rights.query_async::<()>(&mut self.scene.raw().await).await.unwrap();
        }
    }

    async fn cut_off(mut self, (point, visit): (Point, usize), case: &str) {
        let (way, ledger) = (self.way, format!("{}@snapshot", self.scene.entity()));
        let gone = plain(&self.scene).await;
        let held = failpoint::hold_at(point, &ledger, visit);
        let moving = tokio::spawn(async move { way.go(&gone).await });
        held.arrived().await;
        moving.abort();
        assert!(moving.await.unwrap_err().is_cancelled(), "{case}");
        self.is_followed(&ledger, case).await;
    }

    /// Others go on where the one that moved it is no more.
    pub(super) async fn is_followed(&mut self, ledger: &str, case: &str) {
        let way = self.way;
        // Whether it may be written to or not, what is acknowledged is there.
        for id in (0..5).map(|id| format!("between {id}")) {
            if self.repo(way.back()).save(&todo(&id, "between")).await.is_ok() {
                self.model.insert(id, "between".to_owned());
            }
        }
        way.go(&self.only).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        self.check(way, ledger, case).await;
    }

    async fn run(mut self, at: (Point, usize), meanwhile: Meanwhile, case: &str) {
        let (way, ledger) = (self.way, format!("{}@snapshot", self.scene.entity()));
        let (slow, other) = (plain(&self.scene).await, plain(&self.scene).await);
        let held = failpoint::hold_at(at.0, &ledger, at.1);
        let moving = tokio::spawn(async move { way.go(&slow).await });
        held.arrived().await;
        self.forget_its_rights().await;
        self.go(way).await;
        if matches!(meanwhile, Back | Again) {
            self.go(way.back()).await;
        }
        let next = match meanwhile {
            Finish | Back => None,
            GoingBack => Some(way.back()),
            Again => Some(way),
        };
        let under_way = match next {
            None => None,
            Some(next) => {
                let at = if next == Import { Point::RowsRead } else { Point::SidesTurned };
                let half = failpoint::hold(at, &ledger);
                let going = tokio::spawn(async move { next.go(&other).await });
                half.arrived().await;
                Some((half, going))
            }
        };
        let ended = failpoint::hold(Point::MoveEnded, &ledger);
        held.release();
        ended.arrived().await;
        let mut at = if meanwhile == Back { way.back() } else { way };
        if let Some((half, going)) = under_way {
            half.release();
            going.await.unwrap().unwrap_or_else(|error| panic!("{case}: {error}"));
            at = next.unwrap();
        }
        ended.release();
        match moving.await.unwrap() {
            Ok(()) => assert_eq!(at, way, "{case}: it is not where the mover says"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fenced, "{case}: {error}");
                assert_eq!(at, way.back(), "{case}: {error}");
            }
        }
        self.check(at, &ledger, case).await;
        // It can be moved from there as ever.
        let back = at.back();
        self.go(back).await;
        self.check(back, &ledger, case).await;
    }

    /// Everything that was acknowledged is there, and only those may write who have it.
    async fn check(&self, at: Way, ledger: &str, case: &str) {
        let refused = self.repo(at.back()).save(&todo("changed", "refused")).await;
        assert!(refused.is_err(), "{case}: both may write");
        for (id, value) in &self.model {
            let found = name(self.repo(at).get(&**id).await.unwrap());
            assert_eq!(found, *value, "{case}: {id}");
            if at == Export {
                assert_eq!(self.scene.row(id).await, *value, "{case}: the row of {id}");
            }
        }
        for partition in 0..PARTITIONS {
            let offset = Ledger::Offset { entity: ledger, partition };
            let Entry::Offset(Some(offset)) = self.scene.gate.ledger(offset).await.unwrap() else {
                panic!("{case}: there is no position of copies")
            };
            assert_eq!(offset.sealed, at == Export, "{case}: whether the store remembers");
        }
    }
}
