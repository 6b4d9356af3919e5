//! Checks models of the protocols exhaustively; for each rule a mutant shows what it is for.
//!
//! ```text
//! cargo run --release -p tests --bin model             what takes a minute on two cores
//! cargo run --release -p tests --bin model -- full     the big configurations too
//! cargo run --release -p tests --bin model -- <text>   those with <text> in their names, with traces
//! ```
//!
//! The exit code is 0 if every configuration has the verdict that is expected of it.

use std::{env, process::ExitCode, time::Instant};

mod verdict;
use verdict::Run;

mod write_behind;

mod store_first;

mod mixed;

mod repartition;

mod order;

fn main() -> ExitCode {
    let (argument, begin) = (env::args().nth(1).unwrap_or_default(), Instant::now());
    let mut run = Run::new(&argument);
    run.check_all("write-behind alone", write_behind::cases());
    run.check_all("store-first alone", store_first::cases());
    run.check_all("mixed: the strategy is swapped on live data", mixed::cases());
    run.check_all("moved: the number of partitions is changed on live data", repartition::cases());
    run.check_all("order: parents before children", order::cases());
    println!("\n{run}, {:.0?}", begin.elapsed());
    if run.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
