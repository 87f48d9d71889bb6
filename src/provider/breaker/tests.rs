//! The boundaries one by one, and what is logged.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clock::stopped::Stopped;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn breaker() -> (Breaker, Arc<Stopped>) {
    let clock = Stopped::new();
    (Breaker::new(BreakerPolicy::default(), clock.clone()), clock)
}

fn calls(breaker: &Breaker, number: usize, verdict: Verdict) {
    for _ in 0..number {
        breaker.admit().unwrap().record(verdict);
    }
}

/// A breaker that an account fault has just opened.
fn opened() -> (Breaker, Arc<Stopped>) {
    let (breaker, clock) = breaker();
    calls(&breaker, 1, Verdict::AccountFault);
    assert_eq!(breaker.state(), BreakerState::Open);
    (breaker, clock)
}

/// A breaker whose next call is the probe.
fn half_opened() -> (Breaker, Arc<Stopped>) {
    let (breaker, clock) = opened();
    clock.advance(60 * SECOND);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    (breaker, clock)
}

#[test]
fn it_opens_from_twenty_calls_and_half_of_them_failed_on() {
    for (successes, failures, state) in [
        (0, 19, BreakerState::Closed),
        (0, 20, BreakerState::Open),
        (0, 21, BreakerState::Open),
        (10, 9, BreakerState::Closed),
        (10, 10, BreakerState::Open),
        (51, 49, BreakerState::Closed),
        (50, 50, BreakerState::Open),
        (49, 51, BreakerState::Open),
        (1000, 999, BreakerState::Closed),
        (1000, 1000, BreakerState::Open),
    ] {
        let (breaker, _clock) = breaker();
        calls(&breaker, successes, Verdict::Success);
        for _ in 0..failures {
            // It may be open already.
            if let Ok(permit) = breaker.admit() {
                permit.record(Verdict::Failure);
            }
        }
        assert_eq!(
            breaker.state(),
            state,
            "{failures} of {}",
            successes + failures
        );
    }
}

#[test]
fn a_success_can_be_the_twentieth_call() {
    let (breaker, _clock) = breaker();
    calls(&breaker, 10, Verdict::Failure);
    calls(&breaker, 9, Verdict::Success);
    assert_eq!(breaker.state(), BreakerState::Closed);

    calls(&breaker, 1, Verdict::Success);

    assert_eq!(breaker.state(), BreakerState::Open);
}

/// The clock starts at 1 s, so the first part of the window ends at 3 s and leaves it at 30 s.
#[test]
fn calls_count_for_as_long_as_their_part_of_the_window_is_in_it() {
    for (later, state) in [
        (28_999, BreakerState::Open),
        (29_000, BreakerState::Closed),
        (29_001, BreakerState::Closed),
    ] {
        let (breaker, clock) = breaker();
        calls(&breaker, 19, Verdict::Failure);
        clock.advance(later * MILLISECOND);
        calls(&breaker, 1, Verdict::Failure);
        assert_eq!(breaker.state(), state, "{later} ms later");
    }
}

#[test]
fn what_says_nothing_about_the_vendor_is_not_counted() {
    let (breaker, _clock) = breaker();
    calls(&breaker, 19, Verdict::Failure);
    calls(&breaker, 1000, Verdict::Ignored);
    drop(breaker.admit());
    assert_eq!(breaker.state(), BreakerState::Closed);

    calls(&breaker, 1, Verdict::Failure);

    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn it_stays_open_for_a_minute_and_tells_exactly_how_much_is_left() {
    let (breaker, clock) = opened();
    assert_eq!(breaker.admit().err(), Some(60 * SECOND));

    clock.advance(59_999 * MILLISECOND);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit().err(), Some(MILLISECOND));

    clock.advance(MILLISECOND);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    let probe = breaker.admit();
    assert!(probe.is_ok());

    clock.advance(MILLISECOND);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.admit().err(), Some(SECOND), "one probe is enough");
}

#[test]
fn a_probe_that_succeeds_closes_it_and_the_past_is_forgotten() {
    let (breaker, clock) = breaker();
    calls(&breaker, 20, Verdict::Failure);
    clock.advance(60 * SECOND);

    calls(&breaker, 1, Verdict::Success);

    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&breaker, 19, Verdict::Failure);
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&breaker, 1, Verdict::Failure);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_probe_that_fails_opens_it_for_another_minute() {
    for verdict in [Verdict::Failure, Verdict::AccountFault] {
        let (breaker, clock) = half_opened();
        let probe = breaker.admit().unwrap();
        clock.advance(5 * SECOND);

        probe.record(verdict);

        assert_eq!(breaker.admit().err(), Some(60 * SECOND), "{verdict:?}");
    }
}

#[test]
fn a_probe_that_says_nothing_makes_room_for_the_next() {
    let (breaker, _clock) = half_opened();
    for _ in 0..3 {
        breaker.admit().unwrap().record(Verdict::Ignored);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    calls(&breaker, 1, Verdict::Success);

    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_call_from_before_changes_nothing_when_it_ends() {
    for verdict in [
        Verdict::Success,
        Verdict::Failure,
        Verdict::AccountFault,
        Verdict::Ignored,
    ] {
        let (breaker, clock) = breaker();
        let late: Vec<_> = (0..3).map(|_| breaker.admit().unwrap()).collect();
        let mut late = late.into_iter();
        calls(&breaker, 1, Verdict::AccountFault);

        clock.advance(SECOND);
        late.next().unwrap().record(verdict);
        assert_eq!(breaker.admit().err(), Some(59 * SECOND), "{verdict:?}");

        clock.advance(59 * SECOND);
        let probe = breaker.admit().unwrap();
        late.next().unwrap().record(verdict);
        assert_eq!(breaker.admit().err(), Some(PROBE_WAIT), "{verdict:?}");

        probe.record(Verdict::Success);
        late.next().unwrap().record(verdict);
        assert_eq!(breaker.state(), BreakerState::Closed, "{verdict:?}");
    }
}

#[test]
fn each_change_is_logged_once() {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(lines.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let (breaker, clock) = breaker();
        calls(&breaker, 20, Verdict::Failure);
        for _ in 0..5 {
            assert!(breaker.admit().is_err());
            breaker.state();
        }
        clock.advance(60 * SECOND);
        breaker.state();
        calls(&breaker, 10, Verdict::Success);
    });

    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let told: Vec<(String, String)> = lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (text(&line["level"]), text(&line["fields"]["breaker.state"]))
        })
        .collect();
    let expected = [("WARN", "open"), ("INFO", "half_open"), ("INFO", "closed")];
    assert_eq!(
        told,
        expected.map(|(level, state)| (level.to_owned(), state.to_owned()))
    );
}
