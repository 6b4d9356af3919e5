//! What a backend promises to those who copy what `redis_only` keeps.

use super::{super::snapshot::*, *};
use crate::backend::journal::Bound;

pub(super) const MOVER: &str = "mover";
const ASK: AskChanged<'static> =
    AskChanged { partition: 0, token: "copier", hold: HOLD, until: None, count: 10, retry: false };

pub(super) async fn run(suite: &Suite<'_>) {
    // A partition of its own name: sides are of partitions.
    let name = format!("{}-kept", suite.format.name());
    let keys = || Keyspace::new(suite.namespace, &name, suite.backend.topology(), 1).unwrap();
    let suite = Suite { keys: keys(), ..*suite };
    suite.the_only_copies_are_versioned_in_order().await;
    suite.changes_are_marked_where_redis_only_keeps_a_partition().await;
    suite.a_report_leaves_later_changes_alone().await;
    suite.refused_and_expired_ones_are_changes_again().await;
    suite.others_do_not_write_to_what_is_kept().await;
    suite.a_survey_finds_every_entry().await;
    moves::run(&suite).await;
}

impl Suite<'_> {
    /// Turns the partition over, as this mover; answers the side before.
    pub(super) async fn turn(&self, from: &[Side], to: Side) -> Result<Side, Side> {
        let turn = Turn { token: MOVER, from, behind: None, to, epoch: None };
        match self.backend.turn(&self.keys, 0, turn).await.unwrap() {
            Turned::From(at) => Ok(at.side),
            Turned::Is(at) => Err(at.side),
        }
    }

    pub(super) async fn changed(&self, ask: AskChanged<'_>) -> Changed {
        self.backend.changed(&self.keys, ask).await.unwrap().expect("the right is free")
    }

    /// What changed, the oldest first.
    pub(super) async fn ids(&self) -> Vec<String> {
        self.changed(ASK).await.ids.into_iter().map(|(id, _)| id).collect()
    }

    async fn report(&self, copies: &[(&str, u64, Copied)]) -> u64 {
        let report = Report { partition: 0, token: "copier", hold: HOLD, copies };
        self.backend.copied(&self.keys, report).await.unwrap()
    }

    pub(super) async fn report_all(&self) {
        for (id, version) in self.changed(ASK).await.ids {
            self.report(&[(&id, version, Copied::Done)]).await;
        }
    }

    async fn the_only_copies_are_versioned_in_order(&self) {
        let (a, b) = (self.slot("kept-a"), self.slot("kept-b"));
        let PutReply::Written { versions: first, .. } =
            self.put(&[(&a, Some("1")), (&b, Some("2"))]).await
        else {
            panic!("refused")
        };
        let PutReply::Written { versions: second, .. } =
            self.put(&[(&a, Some("3")), (&b, None)]).await
        else {
            panic!("refused")
        };
        let versions: Vec<u64> = first.into_iter().chain(second).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
        assert_eq!(self.value(&a).await.as_deref(), Some("3"));
        assert_eq!(self.read(&b).await, None);
    }

    async fn changes_are_marked_where_redis_only_keeps_a_partition(&self) {
        let (one, two) = (self.slot("one"), self.slot("two"));
        assert_eq!(self.changed(ASK).await.standing, Standing::default());
        self.put(&[(&one, Some("unmarked"))]).await;
        assert!(self.ids().await.is_empty());
        assert_eq!(self.turn(&[Side::Kept], Side::Exporting).await, Err(Side::Open));
        assert_eq!(self.turn(&[Side::Open], Side::Kept).await, Ok(Side::Open));
        assert_eq!(self.turn(&[Side::Open], Side::Kept).await, Err(Side::Kept), "once");
        assert_eq!(self.turn(&[Side::Open, Side::Stored], Side::Stored).await, Err(Side::Kept));
        let meta = self.backend.meta(&self.keys, 0).await.unwrap();
        let kept = Standing { side: Side::Kept, turned_by: MOVER.to_owned() };
        assert_eq!(meta.standing, kept);
        let PutReply::Written { versions, .. } =
            self.put(&[(&two, Some("marked")), (&one, None), (&two, Some("again"))]).await
        else {
            panic!("it is not written")
        };
        let changed = self.changed(ASK).await;
        assert_eq!((changed.standing, changed.left, changed.more), (kept, 2, false));
        let expected = [(one.entry.clone(), versions[1]), (two.entry.clone(), versions[2])];
        assert_eq!(changed.ids, expected, "each id once, by its last version");
        assert!(changed.until >= versions[2]);
        let bounded = self.changed(AskChanged { until: Some(versions[1]), ..ASK }).await;
        assert_eq!(bounded.ids, expected[..1], "not above what is meant");
        assert_eq!(self.changed(AskChanged { count: 1, ..ASK }).await.ids, expected[..1]);
        let other = AskChanged { token: "other", ..ASK };
        assert_eq!(self.backend.changed(&self.keys, other).await.unwrap(), None);
        self.backend.let_go(&self.keys, 0, "other").await.unwrap();
        assert_eq!(self.backend.changed(&self.keys, other).await.unwrap(), None);
        self.backend.let_go(&self.keys, 0, "copier").await.unwrap();
        self.changed(other).await;
        self.backend.let_go(&self.keys, 0, "other").await.unwrap();
        self.report_all().await;
        assert!(self.ids().await.is_empty());
    }

    async fn a_report_leaves_later_changes_alone(&self) {
        let slot = self.slot("later");
        self.put(&[(&slot, Some("a"))]).await;
        let (id, version) = self.changed(ASK).await.ids.remove(0);
        self.put(&[(&slot, Some("b"))]).await;
        assert_eq!(self.report(&[(&id, version, Copied::Done)]).await, 1);
        let (_, later) = self.changed(ASK).await.ids.remove(0);
        assert!(later > version);
        assert_eq!(self.report(&[(&id, later, Copied::Later)]).await, 1);
        let (_, latest) = self.changed(ASK).await.ids.remove(0);
        assert!(latest > later, "it is tried behind all others");
        assert_eq!(self.report(&[(&id, latest, Copied::Done)]).await, 0);
    }

    async fn refused_and_expired_ones_are_changes_again(&self) {
        let (slot, mortal) = (self.slot("refused"), self.slot("mortal"));
        for retry in [false, true] {
            self.put(&[(&slot, Some("a"))]).await;
            let (id, version) = self.changed(ASK).await.ids.remove(0);
            assert_eq!(self.report(&[(&id, version, Copied::Refused)]).await, 0);
            assert!(self.ids().await.is_empty());
            if retry {
                let again = self.changed(AskChanged { retry, until: Some(version), ..ASK }).await;
                assert_eq!(again.ids[0].0, id, "also above what was meant");
            } else {
                self.put(&[(&slot, Some("b"))]).await;
                assert_eq!(self.ids().await, [&*id]);
                self.report_all().await;
                let none = self.changed(AskChanged { retry: true, ..ASK }).await;
                assert!(none.ids.is_empty(), "what changed is not refused any more");
            }
            self.report_all().await;
        }
        let (body, stamp) = (self.body("short"), stamp(1, mortal.hash));
        let short = Some(Duration::from_millis(30));
        let content = Some(Content { ttl: short, ..content(State::Kept, &stamp, &body) });
        let put = Put { slot: &mortal, id: "mortal", content };
        for is_renewed in [true, false] {
            self.backend.put(&self.keys, &[put], false).await.unwrap();
            if is_renewed {
                let put = Put { content: put.content.map(|c| Content { ttl: None, ..c }), ..put };
                self.backend.put(&self.keys, &[put], false).await.unwrap();
            }
            self.report_all().await;
            tokio::time::sleep(Duration::from_millis(60)).await;
            let expected = if is_renewed { vec![] } else { vec!["mortal"] };
            assert_eq!(self.ids().await, expected);
            self.report_all().await;
        }
    }

    async fn others_do_not_write_to_what_is_kept(&self) {
        let (free, kept) = (self.slot("free"), self.slot("kept"));
        self.put(&[(&kept, Some("kept"))]).await;
        for side in [Side::Kept, Side::Importing, Side::Exporting, Side::Leaving] {
            let before = [Side::Kept, Side::Importing, Side::Exporting];
            self.turn(&before, side).await.unwrap();
            assert_eq!(self.begin(&free, "writer").await, Begin::Kept(0), "{side:?}");
            assert_eq!(self.lease(&free, "reader", false).await, Lease::Blocked, "{side:?}");
            assert_eq!(self.lease(&kept, "reader", true).await, Lease::Present, "{side:?}");
            let (body, stamp) = (self.body("x"), stamp(1, free.hash));
            let content = content(State::Dirty, &stamp, &body);
            let write = journal::Write { slot: &free, content, deletes: false, data: Some("{}") };
            let append = journal::Append {
                partition: 0,
                op_id: "op",
                tried_above: None,
                bound: Bound { records: 10, bytes: 1000 },
                schema: "s",
                writes: &[write],
            };
            let appended = self.backend.append(&self.keys, append).await.unwrap();
            assert_eq!(appended, journal::Appended::Kept(0), "{side:?}");
            let put = self.put(&[(&free, Some("x")), (&free, None)]).await;
            match side {
                Side::Kept => assert!(matches!(put, PutReply::Written { .. })),
                side => assert_eq!(put, PutReply::Elsewhere(side)),
            }
        }
        self.turn(&[Side::Leaving], Side::Kept).await.unwrap();
        self.report_all().await;
    }

    async fn a_survey_finds_every_entry(&self) {
        let survey = |token, progress| self.backend.survey(&self.keys, token, HOLD, progress);
        assert_eq!(survey("one", None).await.unwrap(), Some(Survey::At(0)));
        assert_eq!(survey("two", None).await.unwrap(), None, "one at a time");
        assert_eq!(survey("one", Some(Survey::At(7))).await.unwrap(), Some(Survey::At(7)));
        assert_eq!(survey("one", None).await.unwrap(), Some(Survey::At(7)), "it goes on");
        assert_eq!(survey("one", Some(Survey::Done)).await.unwrap(), Some(Survey::Done));
        assert_eq!(survey("two", None).await.unwrap(), Some(Survey::Done));

        let slots: Vec<Slot> = (0..25).map(|i| self.slot(&format!("survey{i}"))).collect();
        for slot in &slots {
            self.put(&[(slot, Some("x"))]).await;
        }
        self.report_all().await;
        self.report_all().await;
        self.report_all().await;
        let (mut found, mut cursor) = (Vec::new(), 0);
        loop {
            let (next, page) = self.backend.scan(&self.keys, cursor, 10).await.unwrap();
            found.extend(page);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        assert!(slots.iter().all(|slot| found.contains(&slot.entry)));
        let gone = self.slot("gone");
        let marks = [Mark { slot: &slots[0], id: "there" }, Mark { slot: &gone, id: "gone" }];
        self.backend.mark(&self.keys, &marks).await.unwrap();
        assert_eq!(self.ids().await, ["there"]);
        self.report_all().await;
    }
}
