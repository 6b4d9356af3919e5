//! Copies of a PostgreSQL server's files, to which it is set back.

use std::{path::Path, process::Command};

use super::PrivatePostgres;

/// What the files were at a time.
#[derive(Debug)]
pub struct Copied(String);

impl PrivatePostgres {
    /// Ends it at once, as `pg_ctl stop -m immediate` does: it recovers when it starts again.
    pub fn quit(&mut self) {
        self.process.quit();
    }

    /// Copies its files, for which it is stopped and started again.
    pub async fn copy(&mut self, name: &str) -> Copied {
        self.stop();
        let copied = Copied(name.to_owned());
        copy(&self.place("data"), &self.place(name));
        self.restart().await;
        copied
    }

    /// Sets it back to a copy.
    pub async fn restore(&mut self, copied: &Copied) {
        self.stop();
        std::fs::remove_dir_all(self.place("data")).unwrap();
        copy(&self.place(&copied.0), &self.place("data"));
        self.restart().await;
    }

    fn place(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", from.display());
}
