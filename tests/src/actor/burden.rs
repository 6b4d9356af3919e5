//! What a process costs: memory, open files, and tasks.

use std::fs;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

/// At one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burden {
    /// Resident memory (KiB).
    pub memory_kib: u64,
    /// Open files, connections among them.
    pub files: u64,
    /// Tasks that have not ended.
    pub tasks: u64,
}

impl Burden {
    /// That of this process, now.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory_kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let files = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let tasks = Handle::current().metrics().num_alive_tasks() as u64;
        Self { memory_kib: memory_kib.unwrap(), files, tasks }
    }
}
