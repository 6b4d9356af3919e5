//! Mutants of changing the number of partitions.

use super::{REDIS, SQLITE};
use crate::mutant::{Mutant, mutant};

const MOVER: &str = "cached-repo/src/worker/repartition.rs";
const RULES: &str = "cached-repo/src/journal/moved.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("closed-undrained": "what is left in an old partition is never drained",
        MOVER,
        "if seal(false).await? == Some(offset.last_id) {" => "if seal(true).await?.is_some() {",
        "write_behind::repartition::what_was_journaled"),
    mutant!("old-epochs-not-raised": "old processes go on writing to the store",
        MOVER,
        "journal.give_up(partition, (&offset.journal, CLOSED), offset.epoch).await\n" => "Ok(true)\n",
        "write_behind::repartition::old_processes"),
    mutant!("new-number-counts-too-early": "new processes write before old partitions are drained",
        MOVER,
        "        let closes = old()" =>
        "        self.record(self.goal(), self.after()).await?;\n        let closes = old()",
        "write_behind::repartition_crashes::it_may_be_cut_off"),
    mutant!("tried-without-a-drain": "nobody writes while a person has to mend something",
        MOVER,
        "        drains.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;\n" => "        drop(drains);\n",
        "write_behind::repartition_crashes::what_only_a_person"),
    mutant!("new-epochs-from-one": "copies that were outdated count again",
        MOVER,
        "floor.epoch = floor.epoch.max(epoch).max(meta.epoch);" => "floor.epoch = 0 * epoch;",
        "write_behind::repartition::copies_that_were_outdated"),
    mutant!("new-versions-from-the-clock": "new writes are taken for older ones than those of old partitions",
        MOVER,
        "floor.version = floor.version.max(last_id).max(meta.clock);" => "floor.version = 0 * last_id;",
        "write_behind::repartition::versions_go_on"),
    mutant!("recovered-while-it-is-drained": "old processes open what is being drained",
        RULES,
        "            Some((Recorded { now, next: Some(next) }, _)) => Err(moving(now.count, next)),\n" => "",
        "write_behind::repartition_crashes::redis_may_restart"),
    mutant!("number-forgotten-with-redis": "after a FLUSHALL another number is taken",
        RULES,
        "            None if before.is_none() => {\n" => "            None if before.is_none() && false => {\n",
        "write_behind::repartition::the_store_knows"),
    mutant!("closed-receipts-unknown": "nobody knows of a receipt whether it was drained before the change",
        RULES,
        "offset.home == CLOSED && offset.epoch == epoch + 1 && " =>
        "false && offset.home == CLOSED && offset.epoch == epoch + 1 && ",
        "write_behind::repartition_letters::receipts_from_before"),
    mutant!("closed-receipts-of-any-epoch": "a write that an incident lost is said to be in the store",
        RULES,
        "offset.epoch == epoch + 1 && " => "offset.epoch >= epoch + 1 && ",
        "write_behind::repartition_letters::a_receipt_from_before"),
    mutant!("old-flush-believed": "a process with the old number says that everything is drained",
        "cached-repo/src/journal/wait.rs",
        "            offset.as_ref().map_or(Ok(()), check_open)?;\n" => "",
        "write_behind::repartition::old_processes"),
    mutant!("replay-recovers-the-letters-partition": "a dead letter from before the change cannot be replayed",
        "cached-repo/src/worker/dead_letters.rs",
        "journal.recover_all(changes.iter().map(|c| entries.keys.slot(c.id()).partition)).await?;" =>
        "journal.recover_all(std::iter::once((letter.partition, entries).0)).await?;",
        "write_behind::repartition_letters::a_replay_recovers"),
    mutant!("letters-superseded-in-their-partition": "a replay overwrites what was written since the change",
        "cached-repo/src/store/sql/offsets.rs",
        "    RETURNING EXISTS (SELECT 1 FROM cached_repo_dead_letters AS l \\\n    WHERE l.entity = ? AND" =>
        "    RETURNING EXISTS (SELECT 1 FROM cached_repo_dead_letters AS l \\\n    WHERE l.partition = cached_repo_offsets.partition AND l.entity = ? AND",
        SQLITE),
    mutant!("sealed-only-when-drained": "old writers keep a partition from being drained",
        "cached-repo/src/redis/scripts/seal.lua",
        "oldest and not may_be_left then" => "oldest then",
        REDIS),
];
