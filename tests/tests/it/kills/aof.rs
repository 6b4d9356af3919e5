//! Redis' append-only file: which writes are in its tail.

use std::{fs, path::PathBuf};

use tests::servers::PrivateRedis;

/// The file that Redis appends to.
pub(super) struct Aof(PathBuf);

/// A journaled write: its partition and version.
type Journaled = (u32, u64);

impl Aof {
    /// That of a server which does not rewrite it.
    pub(super) fn of(redis: &PrivateRedis) -> Self {
        let directory = fs::read_dir(redis.directory().join("appendonlydir")).unwrap();
        let mut files = directory.flatten().map(|file| file.path());
        let file = files.find(|path| path.to_string_lossy().ends_with(".incr.aof"));
        Self(file.unwrap())
    }

    /// Cuts so many bytes off, as a power loss does; answers the writes in them.
    pub(super) fn cut(&self, bytes: u64) -> Vec<Journaled> {
        let content = fs::read(&self.0).unwrap();
        let left = (content.len() as u64).saturating_sub(bytes);
        fs::File::options().write(true).open(&self.0).unwrap().set_len(left).unwrap();
        let cut = journaled(&content).into_iter().filter(|(_, end)| *end > left);
        cut.map(|(journaled, _)| journaled).collect()
    }
}

/// The journaled writes of a file whose last command may be incomplete, and where in the file the
/// transactions end that hold them.
fn journaled(content: &[u8]) -> Vec<(Journaled, u64)> {
    let (mut found, mut open, mut at) = (Vec::new(), None::<Vec<Journaled>>, 0);
    while let Some((command, end)) = command(content, at) {
        at = end;
        let record = match command.as_slice() {
            [name, key, id, ..] if name.eq_ignore_ascii_case(b"XADD") => record(key, id),
            _ => None,
        };
        let name = command[0].to_ascii_uppercase();
        match (name.as_slice(), &mut open, record) {
            (b"MULTI", open, _) => *open = Some(Vec::new()),
            (b"EXEC", open, _) => {
                let records = open.take().unwrap_or_default();
                found.extend(records.into_iter().map(|record| (record, at as u64)));
            }
            (_, Some(open), Some(record)) => open.push(record),
            (_, None, Some(record)) => found.push((record, at as u64)),
            _ => {}
        }
    }
    found
}

/// What the arguments of an XADD to a journal say.
fn record(key: &[u8], id: &[u8]) -> Option<Journaled> {
    let (key, id) = (std::str::from_utf8(key).ok()?, std::str::from_utf8(id).ok()?);
    let partition = key.rsplit_once(':')?.1.parse().ok()?;
    Some((partition, id.strip_suffix("-0")?.parse().ok()?))
}

/// The command at a place, and where it ends.
fn command(content: &[u8], at: usize) -> Option<(Vec<&[u8]>, usize)> {
    let (count, mut at) = number(content, at, b'*')?;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let (length, begin) = number(content, at, b'$')?;
        arguments.push(content.get(begin..begin + length)?);
        at = begin + length + 2;
    }
    (at <= content.len() && count > 0).then_some((arguments, at))
}

/// The number behind a sign, and where its line ends.
fn number(content: &[u8], at: usize, sign: u8) -> Option<(usize, usize)> {
    let line = content.get(at..)?;
    let length = line.windows(2).position(|end| end == b"\r\n")?;
    let text = line[..length].strip_prefix(&[sign])?;
    Some((std::str::from_utf8(text).ok()?.parse().ok()?, at + length + 2))
}

#[test]
fn writes_end_with_their_transactions() {
    let text = "*1 MULTI *5 XADD j:1 7-0 a b *1 EXEC *5 XADD j:2 8-0 a b *1 MULTI *5 XADD j:3 9-0 a b *1 EX";
    let mut content = Vec::new();
    for word in text.split(' ') {
        let line = match word.starts_with('*') {
            true => format!("{word}\r\n"),
            false => format!("${}\r\n{word}\r\n", word.len()),
        };
        content.extend(line.into_bytes());
    }
    let end = |of: &[u8]| content.windows(of.len()).position(|w| w == of).unwrap() + of.len();
    let (first, second) = (end(b"EXEC\r\n"), end(b"8-0\r\n$1\r\na\r\n$1\r\nb\r\n"));
    assert_eq!(journaled(&content), [((1, 7), first as u64), ((2, 8), second as u64)]);
}
