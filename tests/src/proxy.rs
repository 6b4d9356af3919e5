//! A TCP proxy whose faults a test switches while connections are open.

use std::{
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

/// What the proxy does with connections and with what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything.
    Pass,
    /// Holds every piece, in both directions, for this long (of tokio's time).
    Delay(Duration),
    /// Accepts connections, swallows everything and answers nothing.
    BlackHole,
    /// Resets connections, new and old.
    Refuse,
    /// Carries this many more bytes of replies, all connections together; then cuts the connection
    /// that was to carry the next byte, and passes again. With 0 the next reply is lost.
    CutAfter(u64),
}

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
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    connections: AtomicU64,
    cuts: AtomicU64,
    requests: AtomicU64,
    replies: AtomicU64,
    swallowed: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Proxy {
    /// Starts a proxy in front of a server, named by its URL or as `host:port`.
    pub async fn start(target: impl Into<String>) -> Self {
        let target = target.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            server: Mutex::new(host_and_port(&target).to_owned()),
            mode: watch::Sender::new(Mode::Pass),
            cut: broadcast::Sender::new(1),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            replies: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
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

    /// Changes what happens, on open connections as well.
    pub fn set(&self, mode: Mode) {
        self.wire.mode.send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Drops all open connections now.
    pub fn cut(&self) {
        // Without an open connection there is nobody to tell.
        let _ = self.wire.cut.send(());
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

async fn carry(client: TcpStream, wire: Arc<Wire>, mut cut: broadcast::Receiver<()>) {
    // Without lingering, closing is a reset.
    let refuse = |client: TcpStream| client.set_zero_linger();
    if *wire.mode.borrow() == Mode::Refuse {
        wire.cuts.fetch_add(1, Ordering::SeqCst);
        return refuse(client).unwrap_or_default();
    }
    let server = wire.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(server) = TcpStream::connect(server).await else {
        return refuse(client).unwrap_or_default();
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let ended_by_proxy = tokio::select! {
        ended = pump(from_client, to_server, Direction::Request, &wire) => ended,
        ended = pump(from_server, to_client, Direction::Reply, &wire) => ended,
        _ = cut.recv() => true,
    };
    if ended_by_proxy {
        wire.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Carries one direction until it ends. Says whether the proxy ended it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    wire: &Wire,
) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => length,
        };
        let mode = *wire.mode.borrow();
        if mode == Mode::BlackHole {
            wire.swallowed.fetch_add(length as u64, Ordering::SeqCst);
            continue;
        }
        if let Mode::Delay(by) = mode {
            tokio::time::sleep(by).await;
        }
        let allowed = if direction == Direction::Reply { wire.allow(length) } else { length };
        let carried = match direction {
            Direction::Request => &wire.requests,
            Direction::Reply => &wire.replies,
        };
        carried.fetch_add(allowed as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return false;
        }
        if allowed < length {
            return true;
        }
    }
}

impl Wire {
    /// How many of so many bytes of a reply may pass. Fewer than all: the connection is to be cut.
    fn allow(&self, length: usize) -> usize {
        let mut allowed = length;
        self.mode.send_if_modified(|mode| {
            let Mode::CutAfter(left) = *mode else { return false };
            allowed = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            let exhausted = allowed < length;
            *mode = if exhausted { Mode::Pass } else { Mode::CutAfter(left - allowed as u64) };
            true
        });
        allowed
    }
}

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
        let mut client = Client::connect(&proxy).await;
        let patience = Duration::from_millis(50);
        for mode in [Mode::BlackHole, Mode::Delay(Duration::from_secs(600))] {
            proxy.set(mode);
            assert!(tokio::time::timeout(patience, client.hello()).await.is_err(), "{mode:?}");
        }
        assert_eq!((proxy.swallowed_bytes(), proxy.reply_bytes()), (5, 0));
    }
}
