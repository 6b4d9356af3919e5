//! What a backend promises to those who copy what `redis_only` keeps.

use super::{super::snapshot::*, *};
use crate::backend::journal::Bound;

const ASK: AskChanged<'static> =
    AskChanged { partition: 0, token: "copier", hold: HOLD, until: None, count: 10, retry: false };

pub(super) async fn run(suite: &Suite<'_>) {
    // A partition of its own name: sides are of partitions.
    let name = format!("{}-kept", suite.format.name());
    let keys = || Keyspace::new(suite.namespace, &name, suite.backend.topology(), 1).unwrap();
    let suite = Suite { keys: keys(), ..*suite };
    suite.changes_are_marked_where_redis_only_keeps_a_partition().await;
    suite.a_report_leaves_later_changes_alone().await;
    suite.refused_and_expired_ones_are_changes_again().await;
    suite.others_do_not_write_to_what_is_kept().await;
    suite.a_survey_finds_every_entry().await;
    suite.an_import_keeps_what_is_newer().await;
    suite.an_export_is_the_end_of_only_copies().await;
}

impl Suite<'_> {
    async fn turn(&self, from: &[Side], to: Side) -> Turned {
        self.backend.turn(&self.keys, 0, from, to).await.unwrap()
    }

    async fn changed(&self, ask: AskChanged<'_>) -> Changed {
        self.backend.changed(&self.keys, ask).await.unwrap().expect("the right is free")
    }

    /// What changed, the oldest first.
    async fn ids(&self) -> Vec<String> {
        self.changed(ASK).await.ids.into_iter().map(|(id, _)| id).collect()
    }

    async fn report(&self, copies: &[(&str, u64, Copied)]) -> u64 {
        let report = Report { partition: 0, token: "copier", hold: HOLD, copies };
        self.backend.copied(&self.keys, report).await.unwrap()
    }

    async fn report_all(&self) {
        for (id, version) in self.changed(ASK).await.ids {
            self.report(&[(&id, version, Copied::Done)]).await;
        }
    }

    async fn changes_are_marked_where_redis_only_keeps_a_partition(&self) {
        let (one, two) = (self.slot("one"), self.slot("two"));
        assert_eq!(self.changed(ASK).await.side, Side::Open);
        self.put(&[(&one, Some("unmarked"))]).await;
        assert!(self.ids().await.is_empty());
        assert_eq!(self.turn(&[Side::Kept], Side::Exporting).await, Turned::Is(Side::Open));
        assert_eq!(self.turn(&[Side::Open], Side::Kept).await, Turned::From(Side::Open));
        assert_eq!(self.turn(&[Side::Open], Side::Kept).await, Turned::From(Side::Kept), "twice");
        assert_eq!(self.turn(&[Side::Open], Side::Stored).await, Turned::Is(Side::Kept));
        let meta = self.backend.meta(&self.keys, 0).await.unwrap();
        assert_eq!(meta.side, Side::Kept);
        let PutReply::Written(versions) =
            self.put(&[(&two, Some("marked")), (&one, None), (&two, Some("again"))]).await
        else {
            panic!("it is not written")
        };
        let changed = self.changed(ASK).await;
        assert_eq!((changed.side, changed.left, changed.more), (Side::Kept, 2, false));
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
            self.backend.put(&self.keys, &[put]).await.unwrap();
            if is_renewed {
                let put = Put { content: put.content.map(|c| Content { ttl: None, ..c }), ..put };
                self.backend.put(&self.keys, &[put]).await.unwrap();
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
        for side in [Side::Kept, Side::Importing, Side::Exporting] {
            let before = [Side::Kept, Side::Importing];
            self.turn(&before, side).await;
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
                Side::Kept => assert!(matches!(put, PutReply::Written(_))),
                side => assert_eq!(put, PutReply::Elsewhere(side)),
            }
        }
        self.turn(&[Side::Exporting], Side::Kept).await;
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

    async fn keep(&self, slot: &Slot, text: &str) -> PutReply {
        let (body, stamp) = (self.body(text), stamp(1, slot.hash));
        let content = Some(content(State::Kept, &stamp, &body));
        self.backend.keep(&self.keys, &[Put { slot, id: &slot.entry, content }]).await.unwrap()
    }

    async fn an_import_keeps_what_is_newer(&self) {
        let (kept, row) = (self.slot("was kept"), self.slot("row"));
        self.put(&[(&kept, Some("newer"))]).await;
        self.report_all().await;
        assert_eq!(self.keep(&row, "early").await, PutReply::Elsewhere(Side::Kept));
        self.turn(&[Side::Kept], Side::Importing).await;
        assert!(matches!(self.keep(&kept, "older").await, PutReply::Written(_)));
        assert!(matches!(self.keep(&row, "row").await, PutReply::Written(_)));
        self.turn(&[Side::Importing], Side::Kept).await;
        assert_eq!(self.value(&kept).await.as_deref(), Some("newer"));
        assert_eq!(self.value(&row).await.as_deref(), Some("row"));
        assert_eq!(self.ids().await, [&*kept.entry], "the store lacks what is newer");
        assert_eq!(self.keep(&row, "late").await, PutReply::Elsewhere(Side::Kept));
        self.report_all().await;

        self.turn(&[Side::Kept], Side::Importing).await;
        let (brief, body) = (self.slot("brief"), self.body("row"));
        let stamp = stamp(1, brief.hash);
        let ttl = Some(Duration::from_millis(5));
        let content = Some(Content { ttl, ..content(State::Kept, &stamp, &body) });
        let puts = [Put { slot: &brief, id: "brief", content }];
        assert!(matches!(
            self.backend.keep(&self.keys, &puts).await.unwrap(),
            PutReply::Written(_)
        ));
        self.turn(&[Side::Importing], Side::Kept).await;
        // Its expiry is a change: this waits for that.
        while !self.ids().await.contains(&"brief".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.report_all().await;
    }

    async fn an_export_is_the_end_of_only_copies(&self) {
        let slots = ["begun", "evicted", "freed"].map(|name| self.slot(name));
        for slot in &slots {
            self.put(&[(slot, Some("kept"))]).await;
        }
        let freed = [slots[2].entry.clone()];
        assert_eq!(
            self.backend.free(&self.keys, 0, &freed).await.unwrap(),
            0,
            "they are only copies"
        );
        let evicted = self.backend.evict(&self.keys, &slots[1..2]).await.unwrap();
        assert_eq!(evicted, [false]);
        self.turn(&[Side::Kept], Side::Exporting).await;
        let early = self.slot("early");
        assert_eq!(self.backend.free(&self.keys, 0, &[early.entry]).await.unwrap(), 0);
        self.turn(&[Side::Exporting], Side::Stored).await;
        let put = self.put(&[(&slots[0], Some("late"))]).await;
        assert_eq!(put, PutReply::Elsewhere(Side::Stored));
        assert!(matches!(self.begin(&slots[0], "writer").await, Begin::Begun { .. }));
        assert_eq!(self.value(&slots[0]).await, None);
        assert_eq!(self.backend.evict(&self.keys, &slots[1..2]).await.unwrap(), [true]);
        assert_eq!(self.backend.free(&self.keys, 0, &freed).await.unwrap(), 1);
        assert_eq!(self.value(&slots[2]).await, None);
    }
}
