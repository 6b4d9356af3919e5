//! What a backend promises to those who move an entity between `redis_only` and the other strategies.

use super::{super::snapshot::*, snapshots::MOVER, *};

/// The partition is kept when this begins.
pub(super) async fn run(suite: &Suite<'_>) {
    suite.an_import_keeps_what_is_newer().await;
    suite.an_export_is_the_end_of_only_copies().await;
    suite.one_process_at_a_time_moves_an_entity().await;
    suite.each_step_of_a_move_needs_its_token().await;
}

impl Suite<'_> {
    async fn keep(&self, slot: &Slot, text: &str, token: &str) -> PutReply {
        let (body, stamp) = (self.body(text), stamp(1, slot.hash));
        let content = Some(content(State::Kept, &stamp, &body));
        let puts = [Put { slot, id: &slot.entry, content }];
        self.backend.keep(&self.keys, &puts, token).await.unwrap()
    }

    async fn an_import_keeps_what_is_newer(&self) {
        let (kept, row) = (self.slot("was kept"), self.slot("row"));
        self.put(&[(&kept, Some("newer"))]).await;
        self.report_all().await;
        assert_eq!(self.keep(&row, "early", MOVER).await, PutReply::Elsewhere(Side::Kept));
        self.turn(&[Side::Kept], Side::Importing).await.unwrap();
        assert!(matches!(self.keep(&kept, "older", MOVER).await, PutReply::Written { .. }));
        assert!(matches!(self.keep(&row, "row", MOVER).await, PutReply::Written { .. }));
        self.turn(&[Side::Importing], Side::Kept).await.unwrap();
        assert_eq!(self.value(&kept).await.as_deref(), Some("newer"));
        assert_eq!(self.value(&row).await.as_deref(), Some("row"));
        assert_eq!(self.ids().await, [&*kept.entry], "the store lacks what is newer");
        assert_eq!(self.keep(&row, "late", MOVER).await, PutReply::Elsewhere(Side::Kept));
        self.report_all().await;

        self.turn(&[Side::Kept], Side::Importing).await.unwrap();
        let (brief, body) = (self.slot("brief"), self.body("row"));
        let stamp = stamp(1, brief.hash);
        let ttl = Some(Duration::from_millis(5));
        let content = Some(Content { ttl, ..content(State::Kept, &stamp, &body) });
        let puts = [Put { slot: &brief, id: "brief", content }];
        assert!(matches!(
            self.backend.keep(&self.keys, &puts, MOVER).await.unwrap(),
            PutReply::Written { .. }
        ));
        self.turn(&[Side::Importing], Side::Kept).await.unwrap();
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
        assert_eq!(self.free(&freed, MOVER).await, None, "they are only copies");
        let evicted = self.backend.evict(&self.keys, &slots[1..2]).await.unwrap();
        assert_eq!(evicted, [false]);
        self.turn(&[Side::Kept], Side::Exporting).await.unwrap();
        assert_eq!(self.free(&freed, MOVER).await, None, "the store may lack them");
        self.turn(&[Side::Exporting], Side::Leaving).await.unwrap();
        let early = self.slot("early");
        assert_eq!(self.free(&[early.entry], MOVER).await, Some(0));
        self.turn(&[Side::Leaving], Side::Stored).await.unwrap();
        let put = self.put(&[(&slots[0], Some("late"))]).await;
        assert_eq!(put, PutReply::Elsewhere(Side::Stored));
        assert!(matches!(self.begin(&slots[0], "writer").await, Begin::Begun { .. }));
        assert_eq!(self.value(&slots[0]).await, None);
        assert_eq!(self.backend.evict(&self.keys, &slots[1..2]).await.unwrap(), [true]);
        assert_eq!(self.free(&freed, MOVER).await, Some(1));
        assert_eq!(self.value(&slots[2]).await, None);
    }

    async fn free(&self, entries: &[String], token: &str) -> Option<u64> {
        self.backend.free(&self.keys, 0, entries, token).await.unwrap()
    }

    async fn one_process_at_a_time_moves_an_entity(&self) {
        let take =
            async |token, hold| self.backend.take_move(&self.keys, token, hold).await.unwrap();
        assert!(take("one", HOLD).await && take("one", HOLD).await, "it renews its own");
        assert!(!take("two", HOLD).await);
        self.backend.end_move(&self.keys, "two").await.unwrap();
        assert!(!take("two", HOLD).await, "it was not the other one's to give back");
        self.backend.end_move(&self.keys, "one").await.unwrap();
        let short = Duration::from_millis(5);
        assert!(take("two", short).await);
        // It ends by itself: this waits for that.
        while !take("one", HOLD).await {
            tokio::time::sleep(short).await;
        }
        self.backend.end_move(&self.keys, "one").await.unwrap();
    }

    /// Of a mover that was paused, while others finished its move and began another one.
    async fn each_step_of_a_move_needs_its_token(&self) {
        let (row, left) = (self.slot("a row"), self.slot("left"));
        let step = async |token: &str, from: Side, to| {
            let turn = Turn { token, from: &[from], behind: Some(token), to, epoch: None };
            self.backend.turn(&self.keys, 0, turn).await.unwrap()
        };
        let turn = Turn {
            token: "late",
            from: &[Side::Stored],
            behind: None,
            to: Side::Importing,
            epoch: None,
        };
        let turned = self.backend.turn(&self.keys, 0, turn).await.unwrap();
        let stored = Standing { side: Side::Stored, turned_by: MOVER.to_owned() };
        assert_eq!(turned, Turned::From(stored));
        assert!(matches!(self.keep(&row, "row", "late").await, PutReply::Written { .. }));
        // Others take it over, and move it once more.
        self.turn(&[Side::Importing], Side::Importing).await.unwrap();
        let (other, importing) = (self.slot("another"), PutReply::Elsewhere(Side::Importing));
        assert_eq!(self.keep(&other, "older", "late").await, importing);
        let turned = step("late", Side::Importing, Side::Kept).await;
        let importing = Standing { side: Side::Importing, turned_by: MOVER.to_owned() };
        assert_eq!(turned, Turned::Is(importing));
        let epoch = async || self.backend.meta(&self.keys, 0).await.unwrap().copies_epoch;
        assert_eq!(epoch().await, 0, "nobody noted one");
        let kept = Turn {
            token: MOVER,
            from: &[Side::Importing],
            behind: Some(MOVER),
            to: Side::Kept,
            epoch: Some(7),
        };
        let turned = self.backend.turn(&self.keys, 0, kept).await.unwrap();
        assert!(matches!(turned, Turned::From(_)));
        self.put(&[(&left, Some("kept"))]).await;
        assert!(matches!(step(MOVER, Side::Kept, Side::Leaving).await, Turned::From(_)));
        assert_eq!(epoch().await, 7, "it is noted until another one is");
        let freed = [left.entry.clone()];
        assert_eq!(self.free(&freed, "late").await, None);
        assert_eq!(self.value(&left).await.as_deref(), Some("kept"));
        assert_eq!(self.free(&freed, MOVER).await, Some(1));
        assert!(matches!(step(MOVER, Side::Leaving, Side::Stored).await, Turned::From(_)));
    }
}
