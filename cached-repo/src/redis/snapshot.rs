//! What is asked for copies of `redis_only` entities to a store: each call is one server-side step, but
//! for the scan.

use std::time::Duration;

use super::{RedisBackend, answers, call::Call, scripts::Step, unexpected};
use crate::{
    backend::{
        CacheError, Put, PutReply, Reply, SnapshotBackend,
        snapshot::{AskChanged, Changed, Mark, Report, Survey, Turn, Turned},
    },
    key::Keyspace,
};

impl SnapshotBackend for RedisBackend {
    fn turn<'a>(&'a self, keys: &'a Keyspace, partition: u32, turn: Turn<'a>) -> Reply<'a, Turned> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).argument(turn.token);
            call.argument(u8::from(turn.behind.is_some()))
                .argument(turn.behind.unwrap_or_default());
            call.argument(turn.to.letter());
            call.argument(turn.epoch.map(|epoch| epoch.to_string()).unwrap_or_default());
            for side in turn.from {
                call.argument(side.letter());
            }
            let answer: Vec<String> = self.run(Step::Turn, &call).await?;
            answers::turned(&answer).ok_or_else(|| unexpected(Step::Turn))
        })
    }

    fn take_move<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, bool> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.mover()).argument(token).argument(hold.as_millis());
            self.run::<u64>(Step::Hold, &call).await.map(|held| held == 1)
        })
    }

    fn end_move<'a>(&'a self, keys: &'a Keyspace, token: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.mover()).argument(token);
            self.run::<u64>(Step::Release, &call).await.map(drop)
        })
    }

    fn changed<'a>(
        &'a self,
        keys: &'a Keyspace,
        ask: AskChanged<'a>,
    ) -> Reply<'a, Option<Changed>> {
        Box::pin(async move {
            let partition = ask.partition;
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.changed(partition));
            call.key(keys.expiring(partition)).key(keys.refused(partition));
            call.key(keys.copier(partition));
            call.argument(ask.token).argument(ask.hold.as_millis());
            call.argument(ask.until.map(|until| until.to_string()).unwrap_or_default());
            call.argument(ask.count).argument(u8::from(ask.retry));
            let answer: Option<Vec<String>> = self.run(Step::Changed, &call).await?;
            let Some(answer) = answer else { return Ok(None) };
            answers::changed(&answer).map(Some).ok_or_else(|| unexpected(Step::Changed))
        })
    }

    fn copied<'a>(&'a self, keys: &'a Keyspace, report: Report<'a>) -> Reply<'a, u64> {
        Box::pin(async move {
            let partition = report.partition;
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.changed(partition));
            call.key(keys.refused(partition)).key(keys.copier(partition));
            call.argument(report.token).argument(report.hold.as_millis());
            for (id, version, copied) in report.copies {
                call.argument(id).argument(version).argument(copied.letter());
            }
            self.run(Step::Copied, &call).await
        })
    }

    fn let_go<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.copier(partition)).argument(token);
            self.run::<u64>(Step::Release, &call).await.map(drop)
        })
    }

    fn mark<'a>(&'a self, keys: &'a Keyspace, marks: &'a [Mark<'a>]) -> Reply<'a, ()> {
        Box::pin(async move {
            let Some(first) = marks.first() else { return Ok(()) };
            let mut call = Call::default();
            let partition = first.slot.partition;
            call.key(keys.meta(partition));
            call.key(keys.changed(partition)).key(keys.expiring(partition));
            for Mark { slot, id } in marks {
                call.key(&slot.entry).argument(id);
            }
            self.run(Step::Mark, &call).await
        })
    }

    fn keep<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        token: &'a str,
    ) -> Reply<'a, PutReply> {
        Box::pin(async move {
            let Some(first) = puts.first() else { return Ok(PutReply::nothing()) };
            let mut call = Call::default();
            let partition = first.slot.partition;
            call.key(keys.meta(partition)).key(keys.generation(partition));
            call.key(keys.changed(partition)).key(keys.expiring(partition)).argument(token);
            for Put { slot, id, content } in puts {
                call.key(&slot.entry).key(keys.lease(slot));
                call.argument(id).content(content.as_ref());
            }
            let answer: Vec<String> = self.run(Step::Keep, &call).await?;
            answers::put(&answer, puts.len()).ok_or_else(|| unexpected(Step::Keep))
        })
    }

    fn free<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        entries: &'a [String],
        token: &'a str,
    ) -> Reply<'a, Option<u64>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).argument(token);
            for entry in entries {
                call.key(entry);
            }
            self.run(Step::Free, &call).await
        })
    }

    fn scan<'a>(
        &'a self,
        keys: &'a Keyspace,
        cursor: u64,
        count: usize,
    ) -> Reply<'a, (u64, Vec<String>)> {
        Box::pin(async move {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(keys.pattern()).arg("COUNT").arg(count);
            let answer = self.connection.command::<(u64, Vec<Vec<u8>>)>(&command).await;
            let (next, found) = answer.map_err(|error| match error.is_retryable() {
                true => error,
                false => CacheError::answered(format!(
                    "{error}. Snapshots, `import` and `export` look for entries by SCAN, which the user of \
                     this Redis needs in addition (`ACL SETUSER … +scan`; it shows the names of all keys)"
                )),
            })?;
            // What is no text is no key of ours.
            let found = found.into_iter().filter_map(|key| String::from_utf8(key).ok());
            Ok((next, found.filter(|key| keys.id_text(key).is_some()).collect()))
        })
    }

    fn survey<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
        progress: Option<Survey>,
    ) -> Reply<'a, Option<Survey>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.survey()).argument(token).argument(hold.as_millis());
            match progress {
                None => call.argument(""),
                Some(Survey::At(cursor)) => call.argument(cursor),
                Some(Survey::Done) => call.argument(answers::DONE),
            };
            let answer: Option<String> = self.run(Step::Survey, &call).await?;
            let survey =
                |text: String| answers::survey(&text).ok_or_else(|| unexpected(Step::Survey));
            answer.map(survey).transpose()
        })
    }
}
