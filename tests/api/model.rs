//! The state machine as a whole against a model: random calls in random order, and after each one
//! the service must have answered what a few lines of plain Rust say it must.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World, wrong};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    Resend,
    Right,
    Wrong,
    Wait(i64),
}

/// One phone, as the contract describes it.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    sends: Vec<i64>,
    cooldown_until: i64,
    failures: Vec<i64>,
    locks: u32,
    locked_until: i64,
    /// Sends, wrong tries and time of the live request.
    live: Option<(u32, u32, i64)>,
}

impl Model {
    fn may_send(&self) -> bool {
        let inside = |window| {
            self.sends
                .iter()
                .filter(|at| **at > self.now - window)
                .count()
        };
        self.now >= self.cooldown_until
            && self.now >= self.locked_until
            && inside(300) < 3
            && inside(3600) < 5
            && inside(86_400) < 10
    }

    fn sent(&mut self) {
        let recent = self.sends.iter().filter(|at| **at > self.now - 300).count();
        self.sends.push(self.now);
        self.cooldown_until = self.now + [30, 60, 120][recent.min(2)];
    }

    fn has_live(&self) -> Option<(u32, u32)> {
        let (sends, wrong, at) = self.live?;
        (self.now < at + 300).then_some((sends, wrong))
    }

    /// The status the next call must get.
    fn step(&mut self, step: Step) -> u16 {
        match step {
            Step::Wait(seconds) => {
                self.now += seconds;
                0
            }
            Step::Send if self.may_send() => {
                self.sent();
                self.live = Some((1, 0, self.now));
                201
            }
            Step::Send => 429,
            Step::Resend => match self.has_live() {
                None => 400,
                Some((sends, wrong)) if sends < 3 && wrong < 5 && self.may_send() => {
                    self.sent();
                    self.live = self.live.map(|(sends, wrong, at)| (sends + 1, wrong, at));
                    200
                }
                Some(_) => 429,
            },
            Step::Right | Step::Wrong => match self.has_live() {
                None => 400,
                Some((_, wrong)) if wrong >= 5 || self.now < self.locked_until => 429,
                Some(_) if matches!(step, Step::Right) => {
                    self.live = None;
                    self.failures.clear();
                    self.locks = 0;
                    200
                }
                Some(_) => {
                    self.live = self.live.map(|(sends, wrong, at)| (sends, wrong + 1, at));
                    self.failures.retain(|at| *at > self.now - 86_400);
                    self.failures.push(self.now);
                    if self.failures.len() >= 10 {
                        self.locked_until = self.now + (1800 << self.locks).min(86_400);
                        self.locks += 1;
                    }
                    401
                }
            },
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Send),
        2 => Just(Step::Resend),
        1 => Just(Step::Right),
        6 => Just(Step::Wrong),
        4 => prop_oneof![Just(1), Just(29), Just(30), Just(60), Just(120), Just(299), Just(300)]
            .prop_map(Step::Wait),
        1 => prop_oneof![Just(1800), Just(3600), Just(86_399), Just(86_400)].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 60)
}

async fn carry_out(world: &World, app: &Instance, phone: &str, id: &mut String, step: Step) -> u16 {
    // A request that never was: the service must answer as for an expired one.
    let code = world
        .sandbox
        .messages_to(phone)
        .first()
        .map_or("000000".to_owned(), |m| m.code.clone());
    let answer: Answer = match step {
        Step::Wait(seconds) => {
            world.clock.advance(seconds);
            return 0;
        }
        Step::Send => app.send(phone).await,
        Step::Resend => app.resend(id).await,
        Step::Right => app.verify(id, &code).await,
        Step::Wrong => app.verify(id, &wrong(&code)).await,
    };
    if answer.status == 201 {
        *id = answer.text("request_id");
    }
    answer.status
}

#[sqlx::test]
async fn random_calls_get_the_answers_of_the_model(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen: HashMap<u16, usize> = HashMap::new();
    for run in 0..30 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let phone = format!("+9198765432{run:02}");
        let mut model = Model::default();
        let mut id = "00000000-0000-7000-8000-000000000000".to_owned();
        for (at, step) in steps.iter().enumerate() {
            let expected = model.step(*step);
            let status = carry_out(&world, &app, &phone, &mut id, *step).await;
            assert_eq!(
                status, expected,
                "run {run}, step {at} of {steps:?}\n{model:?}"
            );
            *seen.entry(status).or_default() += 1;
        }
    }
    for status in [200, 201, 400, 401, 429] {
        assert!(
            seen[&status] > 20,
            "the walk must meet every answer often: {seen:?}"
        );
    }
}
