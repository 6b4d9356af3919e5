//! Mutants of the test kit for users.

use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("settle-does-not-wait": "a test looks at the database before it has everything",
        "cached-repo/src/testing/settle.rs",
        "            if left.is_empty() {\n" => "            if true {\n",
        "testing::settling::settle_waits_until_the_database_has_everything"),
    mutant!("settle-forgets-what-redis-was-not-told": "a test reads a copy from before an outage",
        "cached-repo/src/testing/settle.rs",
        "            left.extend(duties.owing().into_iter().map(|(entity, count)| {\n" =>
        "            left.extend(duties.owing().into_iter().take(0).map(|(entity, count)| {\n",
        "testing::settling::settle_waits_for_copies_that_may_be_older_than_the_database"),
    mutant!("kit-crash-lets-calls-pass": "a process goes on after it died",
        "cached-repo/src/testing/line.rs",
        "            () = self.life.ended() => Err(cut(crashed())),\n" => "",
        "testing::processes::a_process_that_has_crashed_does_nothing_any_more_and_says_so"),
    mutant!("kit-lost-answer-is-no-answer": "an answer that is lost is that of a call that was not made",
        "cached-repo/src/testing/line.rs",
        "        let happened = matches!(point, Point::After(_));\n" => "        let happened = false;\n",
        "testing::faults::an_answer_that_the_database_loses_leaves_the_outcome_unknown"),
    mutant!("kit-ignores-the-seed": "a failing test is another one when it is run again",
        "cached-repo/src/testing/shared.rs",
        "        (life, Random::seeded(self.seed.wrapping_add(u64::from(number))))\n" =>
        "        (life, Random::new())\n",
        "testing::seeds::a_seed_is_the_same_run_again"),
    mutant!("nudges-in-any-order": "a run with a seed depends on how a map hashes",
        "cached-repo/src/worker/mod.rs",
        "            nudged = roster.nudged() => nudged.into_iter().for_each(|target| worker.add(target)),\n" =>
        "            nudged = roster.nudged() => nudged.into_iter().collect::<std::collections::HashSet<_>>().into_iter().for_each(|target| worker.add(target)),\n",
        "testing::seeds::a_seed_is_the_same_run_again"),
];
