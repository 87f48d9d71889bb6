//! The program as a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::sync::oneshot;

/// A running `otp-auth serve`; killed when dropped.
pub(crate) struct Program {
    process: Child,
    log: Arc<Mutex<String>>,
    base: String,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A POST that can be made again.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) path: &'static str,
    pub(crate) key: String,
    pub(crate) body: Value,
}

impl Program {
    /// Starts it, and returns when it listens.
    pub(crate) async fn start(environment: &BTreeMap<String, String>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
            .arg("serve")
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, listens) = oneshot::channel();
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            let mut ready = Some(ready);
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                kept.lock().unwrap().push_str(&(line + "\n"));
                if let Some(address) = event["public"].as_str()
                    && let Some(ready) = ready.take()
                {
                    drop(ready.send(format!("http://{address}")));
                }
            }
        });
        let http = reqwest::Client::builder()
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()
            .unwrap();
        let mut program = Self {
            process,
            log,
            base: String::new(),
            http,
        };
        let listens = tokio::time::timeout(Duration::from_secs(30), listens).await;
        program.base = listens.expect("it starts in time").expect("it starts");
        program
    }

    /// Ends it at once: no destructor and no handler runs.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Makes it stand still, as a machine that sleeps does, and returns when it does.
    pub(crate) fn stand_still(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
        let stat = format!("/proc/{}/stat", self.process.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            thread::yield_now();
        }
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    pub(crate) async fn post(&self, post: &Post) -> Answer {
        Answer::of(self.request(post)).await.unwrap()
    }

    /// Makes the call while the test goes on. It has no answer if the program is killed.
    pub(crate) fn begin(&self, post: &Post) -> tokio::task::JoinHandle<Option<Answer>> {
        tokio::spawn(Answer::of(self.request(post)))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base));
        Answer::of(request).await.unwrap()
    }

    fn request(&self, post: &Post) -> RequestBuilder {
        let request = self.http.post(format!("{}{}", self.base, post.path));
        let request = request.json(&post.body);
        if post.key.is_empty() {
            return request;
        }
        request.header("idempotency-key", &post.key)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if thread::panicking() {
            let log = self.log.lock().map(|log| log.clone());
            drop(std::io::stderr().write_all(log.unwrap_or_default().as_bytes()));
        }
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> Option<Self> {
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.text().await.ok()?;
        Some(Self { status, body })
    }

    /// A member of the body.
    pub(crate) fn get(&self, name: &str) -> Value {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body[name].clone()
    }

    /// A member that is text.
    pub(crate) fn text(&self, name: &str) -> String {
        let value = self.get(name);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("{name} in {}", self.body))
            .to_owned()
    }
}
