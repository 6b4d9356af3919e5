//! A few inputs for each fuzz target, always the same, and those that found a bug once. `tests/run fuzz` runs
//! many more and counts what they allocate.

use tests::fuzz::{Budget, Probe, TARGETS};

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                few(stringify!($name));
            }
        )*

        #[test]
        fn each_target_is_run() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    envelope_decode
    journal_entry_decode
    resp_script_reply
    id_encode
    sql_render
    facts_decode
    spelling_decode
}

fn few(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let counts = target.fuzz(Budget::Inputs(INPUTS), SEED, &Probe::default());
    assert!(counts.accepted > 0 && counts.refused > 0, "{counts:?}");
}

const INPUTS: u64 = 1_500;
const SEED: u64 = 1;
