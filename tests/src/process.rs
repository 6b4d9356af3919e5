//! Child processes of a test: their directories, their ports, their signals and their end.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const END_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The user "nobody", as whom servers run that refuse root.
const NOBODY: u32 = 65534;

/// A process that ends with this value, by SIGKILL.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts the command with its output going into a file.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn();
        Self { child: child.unwrap_or_else(|e| panic!("{command:?} does not start: {e}")) }
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How many KiB of memory it has.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal to the process and to its children.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id();
        let mut pids = vec![pid];
        pids.extend(children(pid));
        let pids = pids.iter().map(u32::to_string);
        let sent = Command::new("kill").arg(format!("-{name}")).args(pids).output();
        sent.expect("`kill` is part of every system");
    }

    /// Waits until it has ended; whether it says that all went well. Not longer than a minute.
    pub fn ends_well(&mut self) -> bool {
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait().unwrap() {
                Some(status) => return status.success(),
                None => thread::sleep(LOOK_INTERVAL),
            }
        }
        false
    }

    /// Asks it to end (SIGINT), but not its children, and waits until it has.
    pub fn interrupt(&mut self) {
        self.ask("INT");
    }

    /// Asks it to end at once (SIGQUIT), and waits until it has.
    pub fn quit(&mut self) {
        self.ask("QUIT");
    }

    fn ask(&mut self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).output();
        sent.expect("`kill` is part of every system");
        self.ends_well();
    }

    /// Ends it without a warning, as a crash does.
    pub fn kill(&mut self) {
        if self.is_running() {
            self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A directory that is removed with this value.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(what: &str) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cached-repo-{what}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of the same id left behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that only the server may read.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A command that runs as nobody where this process is root, and as this user otherwise.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
    command.arg("--clear-groups").arg(program);
    command
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The processes whose parent is `pid`. PostgreSQL's leave its process group, so they are looked up.
fn children(pid: u32) -> Vec<u32> {
    let of = |entry: fs::DirEntry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // "pid (name) state ppid …", where the name may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let parent: u32 = rest.split_whitespace().nth(1)?.parse().ok()?;
        (parent == pid).then_some(child)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}
