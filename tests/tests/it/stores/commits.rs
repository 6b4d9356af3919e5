//! A proxy in front of a database that holds up or loses what a transaction sends.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::*;

/// What becomes of COMMITs on their way to the server.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Commits {
    /// It arrives; the connection is cut before the answer.
    ArriveUnanswered,
    /// The connection is cut instead.
    AreLost,
    /// It is held until it is released.
    Wait,
    /// None of them is held, but an update on MongoDB is, until it is released.
    FollowAHeldUpdate,
}

/// The database at this URL through a proxy, and what releases a COMMIT that waits.
pub(super) async fn through_proxy(url: &str, commits: Commits) -> (SharedStore, Arc<Notify>) {
    let (url, release) = proxied(url, commits).await;
    (store::connect(&url).await.unwrap(), release)
}

async fn proxied(url: &str, commits: Commits) -> (String, Arc<Notify>) {
    let authority = url.split(['@', '/']).find(|part| part.contains(':') && !part.ends_with(':'));
    let server = authority.unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
    let release = Arc::new(Notify::new());
    let released = release.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, server.clone(), commits, released.clone()));
        }
    });
    (url, release)
}

async fn carry(client: TcpStream, server: String, commits: Commits, release: Arc<Notify>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers =
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
        let request = &bytes[..count];
        let looked_for: &[&[u8]] = match commits {
            Commits::FollowAHeldUpdate => &[b"\x02update\0"],
            _ => &COMMITS,
        };
        if looked_for.iter().any(|words| request.windows(words.len()).any(|w| w == *words)) {
            match commits {
                Commits::Wait | Commits::FollowAHeldUpdate => release.notified().await,
                _ => answers.abort(),
            }
            if commits == Commits::AreLost {
                return;
            }
        }
        if to_server.write_all(request).await.is_err() {
            return;
        }
        if answers.is_finished() {
            return;
        }
    }
}

/// What a request that commits has in it, in SQL and on MongoDB.
const COMMITS: [&[u8]; 3] = [b"COMMIT\0", b"COMMIT ", b"commitTransaction\0"];
