//! The breaker against a model: random calls that overlap at random, and after each step the breaker
//! must be where a few lines of plain Rust say it must be.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::clock::stopped::Stopped;

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit,
    /// One of the calls that are out, by its place modulo their number.
    End(usize, Option<Verdict>),
    Wait(u64),
}

/// Half of at least 4 calls in 10 s, open for 5 s, in plain words.
#[derive(Debug)]
struct Model {
    /// Milliseconds.
    now: u64,
    state: BreakerState,
    /// When it opened last.
    opened: u64,
    /// When it changed last, counted in changes.
    era: u32,
    probing: bool,
    /// When each call since it closed ended, and whether it failed.
    ended: Vec<(u64, bool)>,
}

impl Model {
    fn turn(&mut self, state: BreakerState) {
        self.state = state;
        self.era += 1;
        self.probing = false;
        self.opened = self.now;
        self.ended.clear();
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        if self.state == BreakerState::Open && self.now >= self.opened + 5000 {
            self.turn(BreakerState::HalfOpen);
        }
    }

    /// The time to wait for leave, in milliseconds, or the era it is given in.
    fn admit(&mut self) -> Result<u32, u64> {
        match self.state {
            BreakerState::Closed => {}
            BreakerState::Open => return Err(self.opened + 5000 - self.now),
            BreakerState::HalfOpen if self.probing => return Err(1000),
            BreakerState::HalfOpen => self.probing = true,
        }
        Ok(self.era)
    }

    fn end(&mut self, era: u32, verdict: Verdict) {
        if era != self.era {
            return;
        }
        let half_open = self.state == BreakerState::HalfOpen;
        match verdict {
            Verdict::Ignored => self.probing = false,
            Verdict::AccountFault => self.turn(BreakerState::Open),
            Verdict::Failure if half_open => self.turn(BreakerState::Open),
            Verdict::Success if half_open => self.turn(BreakerState::Closed),
            Verdict::Success | Verdict::Failure => {
                self.ended.push((self.now, verdict == Verdict::Failure));
                // Of ten whole seconds, the one that runs included.
                let second = self.now / 1000;
                let inside = self.ended.iter().filter(|(at, _)| at / 1000 + 10 > second);
                let failed: Vec<bool> = inside.map(|(_, failed)| *failed).collect();
                let failures = failed.iter().filter(|failed| **failed).count();
                if failed.len() >= 4 && failures * 2 >= failed.len() {
                    self.turn(BreakerState::Open);
                }
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        8 => Just(Some(Verdict::Success)),
        6 => Just(Some(Verdict::Failure)),
        1 => Just(Some(Verdict::AccountFault)),
        2 => Just(Some(Verdict::Ignored)),
        2 => Just(None),
    ];
    let wait = prop_oneof![
        0_u64..3000,
        Just(1000),
        Just(4999),
        Just(5000),
        0_u64..12_000
    ];
    let step = prop_oneof![
        5 => Just(Step::Admit),
        4 => (any::<usize>(), verdict).prop_map(|(place, verdict)| Step::End(place, verdict)),
        2 => wait.prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 200)
}

#[test]
fn random_use_does_what_the_model_does_and_one_probe_at_most_is_out() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut turns = [0_usize; 3];
    for run in 0..500 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let clock = Stopped::new();
        let policy = BreakerPolicy {
            window: Duration::from_secs(10),
            min_calls: 4,
            failure_percent: 50,
            open_for: Duration::from_secs(5),
        };
        let breaker = Breaker::new(policy, clock.clone());
        let mut model = Model {
            now: 1000,
            state: BreakerState::Closed,
            opened: 0,
            era: 0,
            probing: false,
            ended: Vec::new(),
        };
        // Calls that are out: leave, its era in the model, and whether it is a probe.
        let mut out: Vec<(Permit<'_>, u32, bool)> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let before = model.era;
            let why = |model: &Model| format!("run {run}, step {at} of {steps:?}\n{model:?}");
            match *step {
                Step::Wait(milliseconds) => {
                    clock.advance(Duration::from_millis(milliseconds));
                    model.wait(milliseconds);
                }
                Step::Admit => {
                    let probe = breaker.state() == BreakerState::HalfOpen;
                    match (breaker.admit(), model.admit()) {
                        (Ok(permit), Ok(era)) => out.push((permit, era, probe)),
                        (Err(wait), Err(expected)) => {
                            assert_eq!(wait, Duration::from_millis(expected), "{}", why(&model));
                        }
                        (Ok(_), Err(_)) => panic!("let through: {}", why(&model)),
                        (Err(_), Ok(_)) => panic!("kept out: {}", why(&model)),
                    }
                }
                Step::End(_, _) if out.is_empty() => {}
                Step::End(place, verdict) => {
                    let (permit, era, _) = out.swap_remove(place % out.len());
                    match verdict {
                        Some(verdict) => permit.record(verdict),
                        None => drop(permit),
                    }
                    model.end(era, verdict.unwrap_or(Verdict::Ignored));
                }
            }
            assert_eq!(breaker.state(), model.state, "{}", why(&model));
            let probes = out.iter().filter(|(_, _, probe)| *probe).count();
            assert!(probes <= 1, "{probes} probes: {}", why(&model));
            if model.era != before {
                let turned = BreakerState::ALL.iter().position(|s| *s == model.state);
                turns[turned.unwrap()] += 1;
            }
        }
    }
    assert!(
        turns.iter().all(|number| *number > 500),
        "the walk must turn to every state often: {turns:?}"
    );
}
