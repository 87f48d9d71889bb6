//! A TCP proxy between the service and the sandbox that resets some connections.
//!
//! It knows just enough of HTTP/1.1 to see where a message ends: a head, and as many bytes as its
//! `Content-Length` says. That is all that the service and the sandbox write.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::dice::{Dice, Stream};

/// The share of requests whose connection is reset.
const SHARE: f64 = 0.04;
/// How much later than the request a [`Cut::BeforeAnswer`] comes at most, in milliseconds: the
/// sandbox has long sent the SMS by then, or is about to.
const ANSWER_CUT_MS: u64 = 20;

/// Where a request is cut off.
#[derive(Clone, Copy, Debug)]
enum Cut {
    BeforeForwarding,
    InRequest,
    BeforeAnswer,
    InAnswer,
}

const CUTS: [Cut; 4] = [
    Cut::BeforeForwarding,
    Cut::InRequest,
    Cut::BeforeAnswer,
    Cut::InAnswer,
];

/// How many requests were cut off, where.
#[derive(Default)]
struct Cuts {
    before_forwarding: AtomicU64,
    in_request: AtomicU64,
    before_answer: AtomicU64,
    in_answer: AtomicU64,
}

/// A running proxy.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    addr: SocketAddr,
    upstream: SocketAddr,
    seed: u64,
    cutting: AtomicBool,
    requests: AtomicU64,
    cuts: Cuts,
    cut_all: watch::Sender<()>,
}

impl Proxy {
    /// Listens and forwards to `upstream`, for as long as the runtime lives. It cuts nothing before
    /// it is told to.
    pub(crate) async fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Arc::new(Shared {
            addr: listener.local_addr()?,
            upstream,
            seed,
            cutting: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            cuts: Cuts::default(),
            cut_all: watch::Sender::new(()),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _peer)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(client).await });
            }
        });
        Ok(Self(shared))
    }

    /// As `startmessaging.base_url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.addr)
    }

    /// Starts or ends the resets.
    pub(crate) fn set_cutting(&self, cutting: bool) {
        self.0.cutting.store(cutting, Ordering::Relaxed);
    }

    /// Resets every connection there is now.
    pub(crate) fn cut_all(&self) {
        self.0.cut_all.send_replace(());
    }

    /// How many requests were cut off so far, where.
    pub(crate) fn cuts(&self) -> BTreeMap<&'static str, u64> {
        let cuts = &self.0.cuts;
        [
            ("before forwarding", &cuts.before_forwarding),
            ("in the request", &cuts.in_request),
            ("before the answer", &cuts.before_answer),
            ("in the answer", &cuts.in_answer),
        ]
        .map(|(place, count)| (place, count.load(Ordering::Relaxed)))
        .into()
    }
}

impl Shared {
    /// Serves one connection, and resets it where it does not end by itself.
    async fn serve(&self, mut client: TcpStream) {
        let mut cut_all = self.cut_all.subscribe();
        let ended = tokio::select! {
            ended = self.forward(&mut client) => ended,
            _ = cut_all.changed() => Err(io::ErrorKind::ConnectionReset.into()),
        };
        if ended.is_err() {
            let _closed_politely_instead = client.set_zero_linger();
        }
    }

    async fn forward(&self, client: &mut TcpStream) -> io::Result<()> {
        let reset = || Err(io::ErrorKind::ConnectionReset.into());
        while let Some(request) = read_message(client).await? {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let mut dice = Dice::new(self.seed, Stream::Proxied(number));
            let cutting = self.cutting.load(Ordering::Relaxed);
            let cut = dice.one_of(&CUTS).filter(|_| dice.happens(SHARE));
            let cut = cut.filter(|_| cutting);
            if let Some(Cut::BeforeForwarding) = cut {
                count(&self.cuts.before_forwarding);
                return reset();
            }
            // A connection for each request: none is ever found closed by a sandbox that tired of it.
            let mut sandbox = TcpStream::connect(self.upstream).await?;
            if let Some(Cut::InRequest) = cut {
                // The body is the end of it, and longer than this.
                let some = request.len().saturating_sub(10);
                sandbox
                    .write_all(request.get(..some).unwrap_or_default())
                    .await?;
                count(&self.cuts.in_request);
                return reset();
            }
            sandbox.write_all(&request).await?;
            if let Some(Cut::BeforeAnswer) = cut {
                sleep(dice.millis_below(ANSWER_CUT_MS)).await;
                count(&self.cuts.before_answer);
                return reset();
            }
            let answer = tokio::select! {
                answer = read_message(&mut sandbox) => answer?,
                () = has_left(client) => return Ok(()),
            };
            let Some(answer) = answer else {
                return reset();
            };
            if let Some(Cut::InAnswer) = cut {
                let half = answer.len() / 2;
                client
                    .write_all(answer.get(..half).unwrap_or_default())
                    .await?;
                count(&self.cuts.in_answer);
                return reset();
            }
            client.write_all(&answer).await?;
        }
        Ok(())
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Reads one message; `None` if the other end closes instead of beginning one.
async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    loop {
        if let Some(length) = length_of(&message)
            && message.len() >= length
        {
            return Ok(Some(message));
        }
        if stream.read_buf(&mut message).await? == 0 {
            return if message.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// The length of the whole message, as soon as its head is there.
fn length_of(message: &[u8]) -> Option<usize> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(message.get(..end)?).to_ascii_lowercase();
    let body = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    end.checked_add(4)?.checked_add(body)
}

/// Waits until the caller closes its end, which it does when it has given up.
async fn has_left(client: &TcpStream) {
    if client.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) {
        // It has begun another request, so it is still there.
        std::future::pending::<()>().await;
    }
}
