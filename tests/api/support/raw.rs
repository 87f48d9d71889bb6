//! A vendor of raw TCP: it answers each call with bytes that the test wrote, whatever they are.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};

/// Between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(20);
/// Small, so that a flood is felt soon by whoever makes it.
const SEND_BUFFER: u32 = 16 * 1024;

/// What one call gets.
pub(crate) enum Script {
    /// These bytes and then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes and then nothing, until the caller leaves.
    Stall(&'static str),
    /// These bytes and then one more now and then, until the caller leaves.
    Drip(&'static str),
    /// A reset instead of an answer.
    Reset,
    /// A body of so many bytes.
    Flood(usize),
    /// The other one, but only when it is time.
    When(Arc<Notify>, Box<Script>),
}

impl Script {
    /// A whole answer. Each call has its own connection, so that none meets one just being closed.
    pub(crate) fn reply(status_and_headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = "connection: close\r\ncontent-length";
        let text = format!("HTTP/1.1 {status_and_headers}\r\n{head}: {length}\r\n\r\n{body}");
        Self::Bytes(text.into_bytes())
    }

    /// An error as the real server words it.
    pub(crate) fn refusal(status_and_headers: &str, code: &str) -> Self {
        let body = format!(r#"{{"success":false,"error":{{"code":"{code}","message":"no"}}}}"#);
        Self::reply(status_and_headers, &body)
    }

    /// The SMS is out, in the words of both dialects.
    pub(crate) fn sent() -> Self {
        Self::reply(
            "201 Created",
            r#"{"success":true,"data":{"requestId":"r1"}}"#,
        )
    }
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Request {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Reads one; `None` if the caller left first.
    pub(crate) async fn read(call: &mut TcpStream) -> Option<Self> {
        let (head, body) = read_request(call, &mut Vec::new()).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(Self { head, body })
    }

    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        header(&self.head, wanted)
    }
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1);
    let mut headers = lines.filter_map(|line| line.split_once(": "));
    headers.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
}

/// Reads the next request of a connection: its head, without the empty line, and its body. `bytes` is what was read
/// and is not of one yet. `None` if the caller left first.
pub(crate) async fn read_request(
    call: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if call.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head: Vec<u8> = bytes.drain(..end + 4).take(end).collect();
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = header(&head, "content-length").unwrap_or("0");
    let length: usize = length.parse().unwrap();
    while bytes.len() < length {
        if call.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes.drain(..length).collect()))
}

/// A running one. It stops with its last handle.
#[derive(Clone)]
pub(crate) struct RawVendor {
    address: SocketAddr,
    memory: Arc<Memory>,
}

struct Memory {
    scripts: Mutex<VecDeque<Script>>,
    calls: watch::Sender<Vec<Request>>,
    /// How much of the last flood was taken, once that is over.
    taken: watch::Sender<Option<usize>>,
}

impl RawVendor {
    /// One that says of every SMS that it is out, until told otherwise.
    pub(crate) fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SEND_BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let memory = Memory {
            scripts: Mutex::default(),
            calls: watch::Sender::default(),
            taken: watch::Sender::default(),
        };
        let vendor = Self {
            address: listener.local_addr().unwrap(),
            memory: Arc::new(memory),
        };
        tokio::spawn(serve(listener, Arc::clone(&vendor.memory)));
        vendor
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next calls get, in this order; all after them get the usual answer.
    pub(crate) fn script(&self, scripts: impl IntoIterator<Item = Script>) {
        *self.memory.scripts.lock().unwrap() = scripts.into_iter().collect();
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Request> {
        self.memory.calls.borrow().clone()
    }

    /// Waits until so many calls have come.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.memory.calls.subscribe();
        let enough = calls.wait_for(|calls| calls.len() >= times);
        tokio::time::timeout(Duration::from_mins(1), enough)
            .await
            .expect("the calls")
            .unwrap();
    }

    /// How many bytes of a flood were taken before the caller left.
    pub(crate) async fn taken(&self) -> usize {
        let mut taken = self.memory.taken.subscribe();
        let over = taken.wait_for(Option::is_some);
        let over = tokio::time::timeout(Duration::from_mins(1), over);
        over.await.expect("an end").unwrap().unwrap()
    }
}

async fn serve(listener: TcpListener, memory: Arc<Memory>) {
    while let Ok((call, _)) = listener.accept().await {
        tokio::spawn(answer(call, Arc::clone(&memory)));
    }
}

async fn answer(mut call: TcpStream, memory: Arc<Memory>) {
    let Some(request) = Request::read(&mut call).await else {
        return;
    };
    let script = memory.scripts.lock().unwrap().pop_front();
    memory.calls.send_modify(|calls| calls.push(request));
    let mut script = script.unwrap_or_else(Script::sent);
    while let Script::When(time, then) = script {
        time.notified().await;
        script = *then;
    }
    match script {
        Script::Bytes(bytes) => drop(call.write_all(&bytes).await),
        Script::Stall(bytes) => {
            drop(call.write_all(bytes.as_bytes()).await);
            drop(call.read(&mut [0]).await);
        }
        Script::Drip(bytes) => {
            let mut time = tokio::time::interval(DRIP);
            let mut more = call.write_all(bytes.as_bytes()).await;
            while more.is_ok() {
                time.tick().await;
                more = call.write_all(b" ").await;
            }
        }
        Script::Reset => call.set_zero_linger().unwrap(),
        Script::Flood(length) => {
            let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {length}\r\n\r\n");
            drop(call.write_all(head.as_bytes()).await);
            let mut taken = 0;
            while taken < length && call.write_all(&[b' '; 1024]).await.is_ok() {
                taken += 1024;
            }
            memory.taken.send_replace(Some(taken));
        }
        Script::When(..) => {}
    }
}
