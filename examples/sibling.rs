//! A service with login by otp-auth: this crate (feature `verifier`), actix-web, reqwest and uuid.
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own, with settings and ids of its own"
)]

use std::{env, error::Error, time::Duration};

use actix_web::http::{StatusCode, header::HeaderName};
use actix_web::web::{Data, Json, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use otp_auth::verifier::{Denied, Verifier, actix::Authenticated};
use serde_json::{Value, json};

/// What it takes to call otp-auth: its address, and this service's name and secret.
struct OtpAuth(reqwest::Client, String, [String; 2]);

async fn ask(request: HttpRequest, to: &OtpAuth, path: &str, body: Value) -> HttpResponse {
    let OtpAuth(http, url, [id, secret]) = to;
    let sent = |name| request.headers().get(name)?.to_str().ok();
    let peer = request.peer_addr().map(|peer| peer.ip().to_string());
    let hops: Vec<_> = sent("x-forwarded-for")
        .into_iter()
        .chain(peer.as_deref())
        .collect();
    let call = http
        .post(format!("{url}{path}"))
        .basic_auth(id, Some(secret));
    let once = sent("idempotency-key").map_or_else(|| uuid::Uuid::new_v4().to_string(), Into::into);
    let call = call
        .header("idempotency-key", once)
        .header("x-forwarded-for", hops.join(", "));
    let call = call
        .header("content-type", "application/json")
        .body(body.to_string());
    let failed = |error: reqwest::Error| {
        if error.is_timeout() && !error.is_connect() {
            return HttpResponse::GatewayTimeout().finish();
        }
        HttpResponse::BadGateway().finish()
    };
    let answer = match call.send().await {
        Ok(answer) => answer,
        Err(error) => return failed(error),
    };
    let status = StatusCode::from_u16(answer.status().into()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut passed = HttpResponse::build(status);
    for name in [
        "content-type",
        "cache-control",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
    ] {
        if let Some(value) = answer.headers().get(name) {
            passed.insert_header((HeaderName::from_static(name), value.as_bytes()));
        }
    }
    answer
        .bytes()
        .await
        .map_or_else(failed, |bytes| passed.body(bytes))
}

async fn login(request: HttpRequest, to: Data<OtpAuth>, sent: Json<Value>) -> HttpResponse {
    let body = json!({ "phone_number": sent.get("phone_number") });
    ask(request, &to, "/v1/otp/send", body).await
}

async fn verify(request: HttpRequest, to: Data<OtpAuth>, sent: Json<Value>) -> HttpResponse {
    let body = json!({ "request_id": sent.get("request_id"), "code": sent.get("code") });
    ask(request, &to, "/v1/otp/verify", body).await
}

async fn orders(user: Authenticated) -> Result<Json<Value>, Denied> {
    user.require_scope("orders:read")?;
    Ok(Json(json!({ "orders_of": user.0.subject() })))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("OTP_AUTH_URL")?;
    let issuer = env::var("ISSUER").unwrap_or_else(|_| url.clone()); // as `iss` says it, to the byte
    let builder = Verifier::builder(issuer).audience(env::var("AUDIENCE")?);
    let [id, secret] = [env::var("CLIENT_ID")?, env::var("CLIENT_SECRET")?];
    let builder = builder.jwks_url(format!("{url}/.well-known/jwks.json"));
    let verifier = builder
        .revocations_at(format!("{url}/v1/revocations"), &id, &secret)
        .build()?;
    let wait = reqwest::Client::builder().connect_timeout(Duration::from_secs(2));
    let http = wait.timeout(Duration::from_secs(10)).build()?;
    let to = Data::new(OtpAuth(http, url, [id, secret]));
    let verifier = Data::new(verifier);
    let server = HttpServer::new(move || {
        let app = App::new().app_data(verifier.clone()).app_data(to.clone());
        let app = app
            .route("/login", post().to(login))
            .route("/orders", get().to(orders));
        app.route("/login/verify", post().to(verify))
    });
    Ok(server
        .bind(("127.0.0.1", env::var("PORT")?.parse()?))?
        .run()
        .await?)
}
