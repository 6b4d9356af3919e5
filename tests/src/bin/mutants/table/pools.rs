//! Mutants of what a pool of a database gets back.

use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("given-up-transactions-stay-open": "a connection goes back to its pool in a transaction",
        "cached-repo/src/store/sql/session.rs",
        "            self.roll_back().await;\n        };" => "            self.open = false;\n        };",
        "stores::pools::a_write_that_outlives", "stores::pools::a_position_is_never_read"),
    mutant!("given-up-calls-give-their-place-back": "there are more connections than the pool may have",
        "cached-repo/src/store/sql/call.rs",
        "            abandoned.settle(Some(answer));" => "            drop((abandoned, answer));",
        "stores::pools::a_write_that_outlives"),
    mutant!("mysql-settings-saved-for-ever": "what an application sets on its connections does not last",
        "cached-repo/src/store/sql/mysql/transaction.rs",
        "@cached_repo_lock = NULL, @cached_repo_table = NULL, @cached_repo_mode = NULL \\\n" =>
        "@cached_repo_table = @cached_repo_table \\\n",
        "stores::pools::what_the_application_has_set"),
    mutant!("mysql-settings-not-set-back": "settings of a transaction that failed stay on the connection",
        "cached-repo/src/store/sql/mysql/transaction.rs",
        "concat!(\"ROLLBACK AND NO CHAIN NO RELEASE; \", set_back!())" =>
        "concat!(\"ROLLBACK AND NO CHAIN NO RELEASE; \", \"SELECT 1\")",
        "stores::pools::what_the_application_has_set"),
];
