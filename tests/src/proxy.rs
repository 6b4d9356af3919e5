//! A TCP proxy whose faults a test switches while connections are open.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, watch},
    task::JoinHandle,
};

mod mode;
pub use mode::{Direction, Mode};

/// A proxy in front of one server. It ends, and its connections with it, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: String,
    wire: Arc<Wire>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
struct Wire {
    /// Where new connections lead.
    server: Mutex<String>,
    /// That of requests, and that of replies.
    modes: [watch::Sender<Mode>; 2],
    cut: broadcast::Sender<End>,
    connections: AtomicU64,
    cuts: AtomicU64,
    requests: AtomicU64,
    replies: AtomicU64,
    swallowed: AtomicU64,
    held: AtomicU64,
    slices: AtomicU64,
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

impl Proxy {
    /// Starts a proxy in front of a server, named by its URL or as `host:port`.
    pub async fn start(target: impl Into<String>) -> Self {
        let target = target.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            server: Mutex::new(host_and_port(&target).to_owned()),
            modes: [watch::Sender::new(Mode::Pass), watch::Sender::new(Mode::Pass)],
            cut: broadcast::Sender::new(1),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            replies: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
            held: AtomicU64::new(0),
            slices: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, wire.clone()));
        Self { address, target, wire, acceptor }
    }

    /// The target's URL, with the proxy's address in it.
    pub fn url(&self) -> String {
        self.target.replace(host_and_port(&self.target), &self.address.to_string())
    }

    /// Leads to another server from now on, named as in [`start`](Self::start); drops the connections
    /// to the one before.
    pub fn lead_to(&self, target: &str) {
        *self.wire.server.lock().unwrap_or_else(PoisonError::into_inner) =
            host_and_port(target).to_owned();
        self.cut();
    }

    /// Changes what happens in both directions, on open connections as well. Only what bytes are
    /// counted for, [`Mode::CutAfter`], is of replies alone.
    pub fn set(&self, mode: Mode) {
        let of_requests = if matches!(mode, Mode::CutAfter(_)) { Mode::Pass } else { mode };
        self.set_on(Direction::Request, of_requests);
        self.set_on(Direction::Reply, mode);
    }

    /// Changes what happens in one direction.
    pub fn set_on(&self, direction: Direction, mode: Mode) {
        self.wire.mode(direction).send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Closes all open connections now.
    pub fn cut(&self) {
        self.end(End::Close);
    }

    /// Resets all open connections now: what was sent and not received is lost.
    pub fn reset(&self) {
        self.end(End::Reset);
    }

    fn end(&self, end: End) {
        // Without an open connection there is nobody to tell.
        let _ = self.wire.cut.send(end);
    }

    /// How many connections were made, refused ones included.
    pub fn connections(&self) -> u64 {
        self.wire.connections.load(Ordering::SeqCst)
    }

    /// How many connections the proxy ended: by a cut, or by refusing them.
    pub fn cuts(&self) -> u64 {
        self.wire.cuts.load(Ordering::SeqCst)
    }

    /// How many bytes were carried to the server.
    pub fn request_bytes(&self) -> u64 {
        self.wire.requests.load(Ordering::SeqCst)
    }

    /// How many bytes were carried back.
    pub fn reply_bytes(&self) -> u64 {
        self.wire.replies.load(Ordering::SeqCst)
    }

    /// How many bytes fell into the black hole.
    pub fn swallowed_bytes(&self) -> u64 {
        self.wire.swallowed.load(Ordering::SeqCst)
    }

    /// How many pieces were held for a while.
    pub fn held(&self) -> u64 {
        self.wire.held.load(Ordering::SeqCst)
    }

    /// How many slices pieces were carried in.
    pub fn slices(&self) -> u64 {
        self.wire.slices.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, wire: Arc<Wire>) {
    while let Ok((client, _)) = listener.accept().await {
        wire.connections.fetch_add(1, Ordering::SeqCst);
        // Subscribed before anything is carried: no cut is missed.
        let cut = wire.cut.subscribe();
        tokio::spawn(carry(client, wire.clone(), cut));
    }
}

async fn carry(client: TcpStream, wire: Arc<Wire>, mut cut: broadcast::Receiver<End>) {
    // Without lingering, closing is a reset.
    let refuse = |client: TcpStream| client.set_zero_linger();
    if wire.modes.iter().any(|mode| *mode.borrow() == Mode::Refuse) {
        wire.cuts.fetch_add(1, Ordering::SeqCst);
        return refuse(client).unwrap_or_default();
    }
    let server = wire.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(server) = TcpStream::connect(server).await else {
        return refuse(client).unwrap_or_default();
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (ended_by_proxy, end) = tokio::select! {
        ended = pump(&mut from_client, &mut to_server, Direction::Request, &wire) => (ended, End::Close),
        ended = pump(&mut from_server, &mut to_client, Direction::Reply, &wire) => (ended, End::Close),
        end = cut.recv() => (true, end.unwrap_or(End::Close)),
    };
    if end == End::Reset {
        for half in [to_client, to_server] {
            let _ = half.as_ref().set_zero_linger();
            // It would say goodbye.
            half.forget();
        }
    }
    if ended_by_proxy {
        wire.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Carries one direction until it ends. Says whether the proxy ended it.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    direction: Direction,
    wire: &Wire,
) -> bool {
    let mut modes = wire.mode(direction).subscribe();
    let mut buffer = vec![0; 16 * 1024];
    let mut has_swallowed = false;
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return false,
                Ok(length) => length,
            },
            _ = modes.wait_for(|mode| *mode != Mode::BlackHole), if has_swallowed => return true,
        };
        let mode = wire.hold(&mut modes).await;
        if mode == Mode::BlackHole {
            wire.swallowed.fetch_add(length as u64, Ordering::SeqCst);
            has_swallowed = true;
            continue;
        }
        if has_swallowed {
            return true;
        }
        let allowed = wire.allow(direction, length);
        let carried = match direction {
            Direction::Request => &wire.requests,
            Direction::Reply => &wire.replies,
        };
        carried.fetch_add(allowed as u64, Ordering::SeqCst);
        if wire.write(to, &buffer[..allowed], mode).await.is_err() {
            return false;
        }
        if allowed < length {
            return true;
        }
    }
}

impl Wire {
    fn mode(&self, direction: Direction) -> &watch::Sender<Mode> {
        match direction {
            Direction::Request => &self.modes[0],
            Direction::Reply => &self.modes[1],
        }
    }

    /// Holds a piece for as long as it is to be held. Answers the mode in which it is carried then.
    async fn hold(&self, modes: &mut watch::Receiver<Mode>) -> Mode {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Delay(_) | Mode::Jitter(_) | Mode::Stall => {
                self.held.fetch_add(1, Ordering::SeqCst);
            }
            mode => return mode,
        }
        match mode {
            Mode::Delay(by) => tokio::time::sleep(by).await,
            Mode::Jitter(most) => tokio::time::sleep(most.mul_f64(fastrand::f64())).await,
            _ => {
                return modes
                    .wait_for(|mode| *mode != Mode::Stall)
                    .await
                    .map_or(mode, |mode| *mode);
            }
        }
        mode
    }

    async fn write(&self, to: &mut OwnedWriteHalf, piece: &[u8], mode: Mode) -> io::Result<()> {
        let Mode::Slice(most) = mode else { return to.write_all(piece).await };
        for slice in piece.chunks(most.max(1)) {
            self.slices.fetch_add(1, Ordering::SeqCst);
            to.write_all(slice).await?;
            tokio::time::sleep(BETWEEN_SLICES).await;
        }
        Ok(())
    }

    /// How many of so many bytes may pass. Fewer than all: the connection is to be cut.
    fn allow(&self, direction: Direction, length: usize) -> usize {
        let mut allowed = length;
        self.mode(direction).send_if_modified(|mode| {
            let Mode::CutAfter(left) = *mode else { return false };
            allowed = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            let exhausted = allowed < length;
            *mode = if exhausted { Mode::Pass } else { Mode::CutAfter(left - allowed as u64) };
            true
        });
        allowed
    }
}

/// So that the receiver sees them one by one.
const BETWEEN_SLICES: Duration = Duration::from_millis(1);

/// The `host:port` of a URL, or all of what is no URL.
fn host_and_port(target: &str) -> &str {
    let after_scheme = target.split_once("://").map_or(target, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?']).next().unwrap_or(after_scheme);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        format!("echo://user:secret@{address}/path")
    }

    struct Client(TcpStream);

    impl Client {
        async fn connect(proxy: &Proxy) -> Self {
            Self(TcpStream::connect(host_and_port(&proxy.url())).await.unwrap())
        }

        /// What comes back for `hello`, up to five bytes or the connection's end.
        async fn hello(&mut self) -> Vec<u8> {
            let mut reply = Vec::new();
            if self.0.write_all(b"hello").await.is_ok() {
                let _ = (&mut self.0).take(5).read_to_end(&mut reply).await;
            }
            reply
        }
    }

    #[tokio::test]
    async fn everything_passes_and_is_counted() {
        let proxy = Proxy::start(echo().await).await;
        assert!(proxy.url().starts_with("echo://user:secret@127.0.0.1:"));
        assert_eq!(Client::connect(&proxy).await.hello().await, b"hello");
        assert_eq!((proxy.connections(), proxy.request_bytes(), proxy.reply_bytes()), (1, 5, 5));
    }

    #[tokio::test]
    async fn a_reply_is_cut_once_where_the_test_says() {
        let proxy = Proxy::start(echo().await).await;
        proxy.set(Mode::CutAfter(3));
        assert_eq!(Client::connect(&proxy).await.hello().await, b"hel");
        assert_eq!(Client::connect(&proxy).await.hello().await, b"hello");
        assert_eq!((proxy.cuts(), proxy.request_bytes(), proxy.reply_bytes()), (1, 10, 8));
    }

    #[tokio::test]
    async fn open_connections_are_cut_and_new_ones_refused() {
        let proxy = Proxy::start(echo().await).await;
        let mut client = Client::connect(&proxy).await;
        assert_eq!(client.hello().await, b"hello");
        proxy.set(Mode::Refuse);
        assert_eq!(client.hello().await, b"");
        assert_eq!(Client::connect(&proxy).await.hello().await, b"");
        assert_eq!((proxy.connections(), proxy.cuts(), proxy.reply_bytes()), (2, 2, 5));
    }

    #[tokio::test]
    async fn a_black_hole_swallows_and_a_delay_delays() {
        let proxy = Proxy::start(echo().await).await;
        let patience = Duration::from_millis(50);
        for mode in [Mode::BlackHole, Mode::Delay(Duration::from_secs(600))] {
            proxy.set(mode);
            let mut client = Client::connect(&proxy).await;
            assert!(tokio::time::timeout(patience, client.hello()).await.is_err(), "{mode:?}");
        }
        assert_eq!((proxy.swallowed_bytes(), proxy.reply_bytes(), proxy.held()), (5, 0, 1));
    }

    #[tokio::test]
    async fn what_a_black_hole_swallowed_ends_its_connection() {
        let proxy = Proxy::start(echo().await).await;
        let mut client = Client::connect(&proxy).await;
        proxy.set_on(Direction::Reply, Mode::BlackHole);
        client.0.write_all(b"hello").await.unwrap();
        while proxy.swallowed_bytes() == 0 {
            tokio::task::yield_now().await;
        }
        proxy.set(Mode::Pass);
        assert_eq!(client.hello().await, b"", "a part of the stream is missing");
        assert_eq!((proxy.request_bytes(), proxy.cuts()), (5, 1), "the request had arrived");
        assert_eq!(Client::connect(&proxy).await.hello().await, b"hello");
    }

    #[tokio::test]
    async fn what_is_stalled_arrives_when_the_partition_heals() {
        for direction in [Direction::Request, Direction::Reply] {
            let proxy = Proxy::start(echo().await).await;
            proxy.set_on(direction, Mode::Stall);
            let mut client = Client::connect(&proxy).await;
            let healed = async {
                while proxy.held() == 0 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(proxy.reply_bytes(), 0, "{direction:?}");
                proxy.set(Mode::Pass);
            };
            let (reply, ()) = tokio::join!(client.hello(), healed);
            assert_eq!(reply, b"hello", "{direction:?}");
        }
    }

    #[tokio::test]
    async fn slices_and_jitter_change_no_byte() {
        for mode in [Mode::Slice(2), Mode::Jitter(Duration::from_millis(2))] {
            let proxy = Proxy::start(echo().await).await;
            proxy.set(mode);
            let mut client = Client::connect(&proxy).await;
            assert_eq!(client.hello().await, b"hello", "{mode:?}");
            let slices = if mode == Mode::Slice(2) { 6 } else { 0 };
            assert!(proxy.slices() >= slices && proxy.held() + proxy.slices() >= 2, "{mode:?}");
        }
    }

    #[tokio::test]
    async fn a_request_is_cut_where_the_test_says_and_a_connection_is_reset() {
        let proxy = Proxy::start(echo().await).await;
        proxy.set_on(Direction::Request, Mode::CutAfter(2));
        let cut = Client::connect(&proxy).await.hello().await;
        assert!(b"he".starts_with(&cut), "{cut:?}");
        assert_eq!((proxy.request_bytes(), proxy.cuts()), (2, 1));
        let mut client = Client::connect(&proxy).await;
        assert_eq!(client.hello().await, b"hello");
        proxy.reset();
        let error = client.0.read(&mut [0]).await.unwrap_err();
        assert_eq!((error.kind(), proxy.cuts()), (io::ErrorKind::ConnectionReset, 2));
    }
}
