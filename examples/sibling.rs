//! A service with login by otp-auth: this crate (feature `verifier`), actix-web, reqwest and uuid.
#![expect(clippy::disallowed_methods, reason = "settings and ids of its own")]

use std::{env::var, error::Error, time::Duration};

use actix_web::web::{Data, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, get, post};
use otp_auth::verifier::{Denied, Verifier, actix::Authenticated};
use serde_json::{Value, json};

const PASSED_ON: &str = "content-type cache-control retry-after ratelimit ratelimit-policy";

/// What it takes to call otp-auth: its address, and this service's name and secret.
struct OtpAuth(reqwest::Client, String, [String; 2]);

/// Sends a user's call on, with where it came from, and sends back what was answered.
async fn ask(call: HttpRequest, to: Data<OtpAuth>, path: &str, body: Value) -> HttpResponse {
    let OtpAuth(http, url, [id, secret]) = to.as_ref();
    let sent = |name| call.headers().get(name)?.to_str().ok().map(String::from);
    let peer = call.peer_addr().map(|peer| peer.ip().to_string());
    let hops: Vec<_> = sent("x-forwarded-for").into_iter().chain(peer).collect();
    let once = sent("idempotency-key").unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let ask = http.post(url.clone() + path).basic_auth(id, Some(secret));
    let ask = ask.header("x-forwarded-for", hops.join(", "));
    let ask = ask.header("idempotency-key", once).json(&body);
    let passed = async {
        let answer = ask.send().await?;
        let mut back = HttpResponse::build(answer.status().as_u16().try_into().unwrap_or_default());
        let shown = |name: &&str| answer.headers().contains_key(*name);
        for name in PASSED_ON.split(' ').filter(shown) {
            back.insert_header((name, answer.headers()[name].as_bytes()));
        }
        reqwest::Result::Ok(back.body(answer.bytes().await?))
    };
    match passed.await {
        Ok(passed) => passed,
        Err(error) if error.is_timeout() => HttpResponse::GatewayTimeout().finish(),
        Err(_) => HttpResponse::BadGateway().finish(),
    }
}

#[post("/login")]
async fn login(call: HttpRequest, to: Data<OtpAuth>, sent: Json<Value>) -> HttpResponse {
    let body = json!({ "phone_number": sent.get("phone_number") });
    ask(call, to, "/v1/otp/send", body).await
}

#[post("/login/verify")]
async fn verify(call: HttpRequest, to: Data<OtpAuth>, sent: Json<Value>) -> HttpResponse {
    let body = json!({ "request_id": sent.get("request_id"), "code": sent.get("code") });
    ask(call, to, "/v1/otp/verify", body).await
}

#[get("/orders")]
async fn orders(user: Authenticated) -> Result<Json<Value>, Denied> {
    user.require_scope("orders:read")?;
    Ok(Json(json!({ "orders_of": user.0.subject() })))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = var("OTP_AUTH_URL")?;
    let [id, secret] = [var("CLIENT_ID")?, var("CLIENT_SECRET")?];
    // The issuer as `iss` says it, to the byte.
    let verifier = Verifier::builder(var("ISSUER")?).audience(var("AUDIENCE")?);
    let verifier = verifier.jwks_url(format!("{url}/.well-known/jwks.json"));
    let verifier = verifier.revocations_at(format!("{url}/v1/revocations"), &id, &secret);
    let verifier = Data::new(verifier.build()?);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10));
    let to = Data::new(OtpAuth(http.build()?, url, [id, secret]));
    let web = HttpServer::new(move || {
        let app = App::new().app_data(verifier.clone()).app_data(to.clone());
        app.service((login, verify, orders))
    });
    let at = ("127.0.0.1", var("PORT")?.parse()?);
    Ok(web.bind(at)?.run().await?)
}
