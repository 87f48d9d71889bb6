//! A collector of traces: it keeps what it is sent, byte by byte, and answers as the test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::raw::read_request;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Refuses,
    /// It reads, and says nothing.
    Hangs,
}

/// A head and a body.
type Post = (String, Vec<u8>);

/// A running one.
#[derive(Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    posts: Arc<watch::Sender<Vec<Post>>>,
}

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap(),
            manner: Arc::new(Mutex::new(manner)),
            posts: Arc::default(),
        };
        let serving = collector.clone();
        tokio::spawn(async move {
            while let Ok((call, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(call).await });
            }
        });
        collector
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    async fn serve(&self, mut call: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        loop {
            let (head, body) = read_request(&mut call, &mut bytes).await?;
            let manner = *self.manner.lock().unwrap();
            self.posts.send_modify(|posts| posts.push((head, body)));
            let answer = match manner {
                Manner::Takes => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                Manner::Refuses => "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
                Manner::Hangs => continue,
            };
            call.write_all(answer.as_bytes()).await.ok()?;
        }
    }

    /// Heads and bodies of all posts so far.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.borrow().clone()
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let posts = self.posts();
        let read = |(_, body): &Post| {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let scopes = request.resource_spans.into_iter();
            let scopes = scopes.flat_map(|spans| spans.scope_spans);
            scopes.flat_map(|spans| spans.spans).collect::<Vec<_>>()
        };
        posts.iter().flat_map(read).collect()
    }

    /// Waits for posts until there is a span of each of these names, and returns all spans.
    pub(crate) async fn spans_with(&self, names: &[&str]) -> Vec<Span> {
        let mut posts = self.posts.subscribe();
        let all = async {
            loop {
                let spans = self.spans();
                let is_there = |name: &&str| spans.iter().any(|span| span.name == **name);
                if names.iter().all(is_there) {
                    return spans;
                }
                posts.changed().await.unwrap();
            }
        };
        let all = tokio::time::timeout(Duration::from_mins(1), all).await;
        all.unwrap_or_else(|_| panic!("{names:?} of {:?}", self.spans()))
    }
}

/// The first span of a name.
pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

/// A span's attributes, each as `name=value`.
pub(crate) fn attributes(span: &Span) -> Vec<String> {
    let told = span.attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
        let value = if let Value::StringValue(text) = value {
            text.clone()
        } else if let Value::IntValue(number) = value {
            number.to_string()
        } else {
            panic!("{value:?}")
        };
        format!("{}={value}", attribute.key)
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// An id as headers have it.
pub(crate) fn hex(id: &[u8]) -> String {
    let digits = id.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}
