//! The vendor: takes every SMS after a fixed time, and leaves its code where `lua/` reads it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpResponse, HttpServer};
use serde::Deserialize;

use crate::Failure;
use crate::arguments::VendorOptions;
use crate::process::serve;

/// As in `lua/common.lua`.
const FACTOR: u64 = 7_368_787;
const PHONES: u64 = 1_000_000_000;
/// Bytes that a code has in the file.
const ROOM: u64 = 8;

struct State {
    latency: Duration,
    codes: File,
    /// Turns what [`FACTOR`] did to a number back.
    inverse: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sms {
    phone_number: String,
    variables: Variables,
}

#[derive(Deserialize)]
struct Variables {
    otp: String,
}

/// Serves until it is killed, and tells its address on the first line.
pub(crate) async fn serve(options: VendorOptions) -> Result<(), Failure> {
    let state = Data::new(State {
        latency: Duration::from_millis(options.latency_ms),
        codes: File::options().write(true).open(options.codes)?,
        inverse: inverse(),
    });
    serve!(
        HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/otp/send", web::post().to(send))
                .route("/otp/verify", web::post().to(verify))
                .route("/messages/{id}", web::get().to(message))
        })
        .workers(1)
    )
}

async fn send(state: Data<State>, sms: Json<Sms>) -> HttpResponse {
    wait(&state).await;
    if let Some(number) = state.number(&sms.phone_number)
        && let Err(error) = state
            .codes
            .write_all_at(sms.variables.otp.as_bytes(), number * ROOM)
    {
        return HttpResponse::InternalServerError().body(error.to_string());
    }
    answer(
        r#"{"success":true,"data":{"messageId":"5f2f9f9e-3c0a-4c44-8d2f-6a1d5a7f3b77","status":"queued"}}"#,
    )
}

/// As the floor asks for its one call.
async fn verify(state: Data<State>, body: web::Bytes) -> HttpResponse {
    wait(&state).await;
    drop(body);
    answer(r#"{"success":true,"data":{"verified":true}}"#)
}

async fn message() -> HttpResponse {
    answer(r#"{"success":true,"data":{"status":"delivered"}}"#)
}

async fn wait(state: &Arc<State>) {
    if !state.latency.is_zero() {
        tokio::time::sleep(state.latency).await;
    }
}

fn answer(body: &'static str) -> HttpResponse {
    HttpResponse::Created()
        .content_type("application/json")
        .body(body)
}

impl State {
    /// The number of a phone of `lua/common.lua`.
    fn number(&self, phone: &str) -> Option<u64> {
        let digits: u64 = phone.strip_prefix("+919")?.parse().ok()?;
        Some(digits * self.inverse % PHONES)
    }
}

/// By Euler's theorem: 4 * 10^8 numbers below 10^9 have no divisor in common with it.
fn inverse() -> u64 {
    let (mut power, mut base, mut exponent) = (1, FACTOR, 400_000_000_u64 - 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * base % PHONES;
        }
        base = base * base % PHONES;
        exponent /= 2;
    }
    power
}
