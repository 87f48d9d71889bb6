//! A day of logins: 20 hours, and nobody at night.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::Failure;
use crate::world::World;

/// People at the same time.
const AT_ONCE: u32 = 8;
/// Length of a day, in seconds.
const SECONDS: u32 = 20 * 3600;
/// Phones that log in again and again.
const USERS: u32 = 20_000;
/// Of a hundred people who ask for a code, how many never type it,
const GIVE_UP: u8 = 10;
/// how many are never seen again,
const STRANGERS: u8 = 5;
/// how many type a wrong one first,
const TYPO: u8 = 5;
/// how many send an `Idempotency-Key`,
const KEYED: u8 = 50;
/// how many come back in a while for the next token,
const REFRESH: u8 = 50;
/// and how many log out.
const LOG_OUT: u8 = 10;

/// How long the calls of one day took.
#[derive(Default)]
pub(crate) struct Day {
    pub(crate) calls: u32,
    pub(crate) took: Duration,
    pub(crate) sends: Vec<Duration>,
    pub(crate) verifies: Vec<Duration>,
}

/// Lives a day of so many calls.
pub(crate) async fn live(
    world: &World,
    calls: u32,
    rng: &mut fastrand::Rng,
) -> Result<Day, Failure> {
    let began = Instant::now();
    let made = AtomicU32::new(0);
    let people = (0..AT_ONCE).map(|_| {
        let mut person = Person {
            world,
            rng: rng.fork(),
            day: Day::default(),
            made: &made,
        };
        async move {
            while person.made.load(Ordering::Relaxed) < calls {
                let before = person.day.calls;
                person.come().await?;
                let pause = SECONDS / calls.max(1) * (person.day.calls - before);
                world.advance(i64::from(pause));
            }
            Ok::<_, Failure>(person.day)
        }
    });
    let mut day = Day::default();
    for one in try_join_all(people).await? {
        day.calls += one.calls;
        day.sends.extend(one.sends);
        day.verifies.extend(one.verifies);
    }
    day.took = began.elapsed();
    Ok(day)
}

struct Person<'a> {
    world: &'a World,
    rng: fastrand::Rng,
    day: Day,
    made: &'a AtomicU32,
}

impl Person<'_> {
    fn one_of(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    /// Comes, and logs in or does not.
    async fn come(&mut self) -> Result<(), Failure> {
        let stranger = self.one_of(STRANGERS);
        let phone = if stranger {
            format!("+9191{:08}", self.rng.u32(0..100_000_000))
        } else {
            format!("+9198{:08}", self.rng.u32(0..USERS) * 4999)
        };
        let address = Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(self.rng.u64(..)) << 32);
        let sent = self
            .call("/v1/otp/send", &json!({"phone_number": phone}), address)
            .await?;
        let (status, answer, took) = sent;
        self.day.sends.push(took);
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The same phone a moment ago.
            return Ok(());
        }
        expect(status, StatusCode::CREATED, &answer)?;
        if stranger || self.one_of(GIVE_UP) {
            return Ok(());
        }
        let request = answer
            .get("request_id")
            .cloned()
            .ok_or("no request of a send")?;
        let Some(code) = self.world.phones.take(&phone) else {
            // Somebody else with the same phone has read it, of those who come at the same time.
            return Ok(());
        };
        if self.one_of(TYPO) {
            let wrong = if code.ends_with('0') {
                "111111"
            } else {
                "000000"
            };
            let body = json!({"request_id": request, "code": wrong});
            self.call("/v1/otp/verify", &body, address).await?;
        }
        let body = json!({"request_id": request, "code": code});
        let (status, answer, took) = self.call("/v1/otp/verify", &body, address).await?;
        self.day.verifies.push(took);
        if status == StatusCode::BAD_REQUEST {
            // Somebody else asked for a code for the same phone meanwhile.
            return Ok(());
        }
        expect(status, StatusCode::OK, &answer)?;
        self.use_session(answer, address).await
    }

    async fn use_session(&mut self, login: Value, address: Ipv6Addr) -> Result<(), Failure> {
        let mut refresh = login.get("refresh_token").cloned();
        if self.one_of(REFRESH) {
            let body = json!({"refresh_token": refresh});
            let (status, answer, _) = self.call("/v1/token/refresh", &body, address).await?;
            expect(status, StatusCode::OK, &answer)?;
            refresh = answer.get("refresh_token").cloned();
        }
        if self.one_of(LOG_OUT) {
            let token = refresh
                .as_ref()
                .and_then(Value::as_str)
                .ok_or("no refresh token")?;
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("token", token)
                .finish();
            let url = format!("{}/v1/token/revoke", self.world.base);
            let request = self
                .world
                .http
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form);
            self.count();
            let status = request.send().await?.status();
            expect(status, StatusCode::OK, &Value::Null)?;
        }
        Ok(())
    }

    async fn call(
        &mut self,
        path: &str,
        body: &Value,
        from: Ipv6Addr,
    ) -> Result<(StatusCode, Value, Duration), Failure> {
        let mut request = self
            .world
            .http
            .post(format!("{}{path}", self.world.base))
            .header("x-forwarded-for", from.to_string())
            .json(body);
        if self.one_of(KEYED) {
            request = request.header("idempotency-key", self.rng.u128(..).to_string());
        }
        self.count();
        let began = Instant::now();
        let response = request.send().await?;
        let status = response.status();
        let answer = response.bytes().await?;
        let took = began.elapsed();
        let answer = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        Ok((status, answer, took))
    }

    fn count(&mut self) {
        self.day.calls += 1;
        self.made.fetch_add(1, Ordering::Relaxed);
    }
}

fn expect(status: StatusCode, expected: StatusCode, answer: &Value) -> Result<(), Failure> {
    if status == expected {
        return Ok(());
    }
    let code = answer.get("code").and_then(Value::as_str).unwrap_or("-");
    Err(format!("an answer was {status} {code}, not {expected}").into())
}
