//! A stand-in for a gateway: it answers 200 or 401 to each call as it was told to judge.

use std::sync::{Arc, Mutex};

use futures_util::future::{self, BoxFuture, FutureExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::raw::Request;

/// Whether a call is let in.
type Judge = Arc<dyn Fn(Request) -> BoxFuture<'static, bool> + Send + Sync>;

/// A running one.
pub(crate) struct Doorman {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Request>>>,
}

impl Doorman {
    /// One that knows by itself.
    pub(crate) async fn start(judge: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        Self::run(Arc::new(move |call: Request| {
            future::ready(judge(&call)).boxed()
        }))
        .await
    }

    /// One that asks a hook, with the header that says who calls, and lets in whom that answers 200.
    pub(crate) async fn asking(hook: String) -> Self {
        let http = super::http_client();
        Self::run(Arc::new(move |call: Request| {
            let question = match call.header("authorization") {
                Some(token) => http.get(&hook).header("authorization", token),
                None => http.get(&hook),
            };
            let answer = question.send();
            async move { answer.await.is_ok_and(|answer| answer.status() == 200) }.boxed()
        }))
        .await
    }

    async fn run(judge: Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut call, _)) = listener.accept().await {
                let (judge, seen) = (Arc::clone(&judge), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Some(request) = Request::read(&mut call).await else {
                        return;
                    };
                    let status = if judge(request.clone()).await {
                        "200 OK"
                    } else {
                        "401 Unauthorized"
                    };
                    seen.lock().unwrap().push(request);
                    let head = "connection: close\r\ncontent-length: 0";
                    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n");
                    drop(call.write_all(answer.as_bytes()).await);
                });
            }
        });
        Self { url, calls }
    }

    /// The tokens that it was shown, in turn.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let tokens = calls.iter().filter_map(bearer);
        tokens.map(str::to_owned).collect()
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Request> {
        self.calls.lock().unwrap().clone()
    }
}

/// The token of a call.
pub(crate) fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}
