//! Nobody learns from an answer whether a number is known.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

/// Samples of each kind.
const SAMPLES: u32 = 500;
/// How far apart the medians may be, as a ratio: what a loaded machine does to a median of 500, not what a
/// stranger could tell from it. A look-up that only one kind makes would be less, one SMS much more.
const APART: f64 = 1.5;

fn known(n: u32) -> String {
    format!("+91987650{n:04}")
}

fn unknown(n: u32) -> String {
    format!("+91987651{n:04}")
}

async fn timed(app: &Instance, phone: &str) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = app.send(phone).await;
    (answer, started.elapsed())
}

/// What is left of an answer without what is drawn anew each time.
fn shape(answer: &Answer) -> (u16, Vec<String>, Vec<String>) {
    let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    let members = answer.json();
    let members = members.as_object().unwrap().keys().cloned().collect();
    (answer.status, headers, members)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// security.md 11: the same status, header fields and members, and times that overlap in 1,000 samples.
#[sqlx::test]
async fn known_and_unknown_numbers_get_the_same_answer_in_the_same_time(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    // The provider's own rate must not get in the way: the clock stands still.
    let settings = [
        ("STARTMESSAGING__REQUESTS_PER_SECOND", "1000"),
        ("STARTMESSAGING__BURST", "10000"),
    ];
    let app = world.instance_with(&settings, "").await;
    for n in 0..SAMPLES {
        let id = app.sent(&known(n)).await;
        assert_eq!(app.verify(&id, &world.code(&known(n))).await.status, 200);
    }
    world.clock.advance(86_400);
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for n in 0..SAMPLES {
        // In turns, so that whatever else the machine does befalls both.
        let (one, took) = timed(&app, &known(n)).await;
        of_known.push(took);
        let (other, took) = timed(&app, &unknown(n)).await;
        of_unknown.push(took);
        assert_eq!(one.status, 201, "{}", one.body);
        assert_eq!(shape(&one), shape(&other));
    }

    let ratio = median(of_known) / median(of_unknown);

    assert!(
        (1.0 / APART..APART).contains(&ratio),
        "known to unknown: {ratio}"
    );
}
