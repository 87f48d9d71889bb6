//! Starting, stopping and sharing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use otp_auth::sandbox::{Fault, FaultKind, Mode, Requests, Sandbox, SandboxError, SandboxOptions};
use reqwest::Method;
use tokio::sync::oneshot;

use crate::support::{PHONE, Rig, client, service_body};

/// Far below the ten minutes of a held reply and the 30 seconds of a graceful stop.
const PROMPT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn it_stops_promptly_while_a_reply_is_held_and_a_page_is_open() {
    let mut rig = Rig::service();
    let page = rig
        .request(Method::GET, "/sandbox/events")
        .send()
        .await
        .unwrap();
    rig.handle.arm(Fault::once(FaultKind::Hang));
    let held = tokio::spawn(
        rig.request(Method::POST, "/otp/send")
            .header("X-API-Key", "k")
            .json(&service_body(PHONE))
            .send(),
    );
    while rig.handle.messages().is_empty() {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();

    rig.handle.stop();
    let ended = (&mut rig.running).await.unwrap();

    assert!(ended.is_ok());
    assert!(held.await.unwrap().is_err(), "a held reply is cut off");
    drop(page);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert!(
        std::net::TcpStream::connect(address(&rig)).is_err(),
        "the port is free again"
    );
}

fn address(rig: &Rig) -> SocketAddr {
    rig.handle
        .url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn it_stops_when_the_shutdown_it_was_given_is_done() {
    let options = SandboxOptions::new(Mode::Service);
    let sandbox = Sandbox::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let url = format!("http://{}/sandbox/info", sandbox.addr());
    let running = tokio::spawn(sandbox.run(async {
        stopped.await.ok();
    }));
    assert!(
        client(PROMPT)
            .get(url)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );

    stop.send(()).unwrap();

    assert!(running.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let rig = Rig::service();
    let addr = address(&rig);

    let second = Sandbox::bind(addr, SandboxOptions::new(Mode::Service));

    let Err(error @ SandboxError::Bind { .. }) = second else {
        panic!("the port was free")
    };
    assert_eq!(
        error.to_string(),
        format!("the sandbox cannot listen on {addr}")
    );
}

#[tokio::test]
async fn all_connections_and_workers_share_one_memory() {
    let rig = Rig::with(Mode::Service, |options| options.throttle_limit = 30);
    // Nothing is idle yet, so each of these opens a connection of its own.
    let sends = (0..40).map(|_| {
        rig.request(Method::POST, "/otp/send")
            .header("X-API-Key", "k")
            .json(&service_body(PHONE))
            .send()
    });
    let answers = futures_util::future::join_all(sends).await;

    let count = |status: u16| {
        answers
            .iter()
            .filter(|a| a.as_ref().unwrap().status().as_u16() == status)
            .count()
    };
    assert_eq!((count(201), count(400), count(429)), (3, 27, 10));
    assert_eq!(rig.handle.messages().len(), 3);
    assert_eq!(
        rig.handle.requests(),
        Requests {
            send: 40,
            verify: 0,
            message: 0
        }
    );
}

#[tokio::test]
async fn a_sandbox_that_was_stopped_before_it_runs_ends_at_once() {
    let options = SandboxOptions::new(Mode::Service);
    let sandbox = Sandbox::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap();
    sandbox.handle().stop();

    let ended = tokio::time::timeout(PROMPT, sandbox.run(std::future::pending())).await;

    assert!(ended.unwrap().is_ok());
}
