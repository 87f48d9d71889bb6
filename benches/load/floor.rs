//! The floor: what no login can do without, by hand. A send is one insert and one call of the vendor, a verify
//! one update, one call of the vendor and one signature. Nothing is limited,
//! nothing is logged, nobody is told what became of it.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::Failure;
use crate::arguments::FloorOptions;
use crate::process::serve;
use crate::tokens::{self, ISSUER};

/// As many as the service has unless told otherwise.
const CONNECTIONS: u32 = 8;

/// What it works on.
pub(crate) const TABLE: &str = "CREATE TABLE codes (id uuid PRIMARY KEY, phone text NOT NULL, code text NOT NULL, \
    expires_at timestamptz NOT NULL, used_at timestamptz)";

struct State {
    pool: PgPool,
    http: reqwest::Client,
    send_url: String,
    verify_url: String,
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Send {
    phone_number: String,
}

#[derive(Serialize)]
struct Sent {
    request_id: Uuid,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Verify {
    request_id: Uuid,
    code: String,
}

#[derive(Serialize)]
struct Verified {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    exp: i64,
}

/// Serves until it is killed, and tells its address on the first line.
pub(crate) async fn serve(options: FloorOptions) -> Result<(), Failure> {
    let pem = std::fs::read_to_string(options.key)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[ISSUER]);
    validation.validate_aud = false;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_lazy(&options.database)?;
    let state = Data::new(State {
        pool,
        http: reqwest::Client::builder().no_proxy().build()?,
        send_url: format!("{}/otp/send", options.vendor),
        verify_url: format!("{}/otp/verify", options.vendor),
        sign: EncodingKey::from_ec_pem(pem.as_bytes())?,
        check: DecodingKey::from_ec_der(&tokens::public(&pem)?),
        validation,
    });
    serve!(HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/send", web::post().to(send))
            .route("/verify", web::post().to(verify))
            .route("/bare", web::get().to(HttpResponse::Ok))
            .route("/es256", web::get().to(es256))
    }))
}

async fn send(call: HttpRequest, state: Data<State>, body: Json<Send>) -> HttpResponse {
    let (id, code) = (Uuid::new_v4(), Uuid::new_v4().as_u128() % 1_000_000);
    let code = format!("{code:06}");
    match state.send(id, &body.phone_number, &code).await {
        Ok(()) => echo(&call, &mut HttpResponse::Created()).json(Sent {
            request_id: id,
            expires_in: 300,
        }),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn verify(call: HttpRequest, state: Data<State>, body: Json<Verify>) -> HttpResponse {
    match state.verify(body.request_id, &body.code).await {
        Ok(Some(verified)) => echo(&call, &mut HttpResponse::Ok()).json(verified),
        Ok(None) => HttpResponse::BadRequest().finish(),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// `lua/` knows by it which phone an answer is about.
fn echo<'a>(
    call: &HttpRequest,
    answer: &'a mut HttpResponseBuilder,
) -> &'a mut HttpResponseBuilder {
    if let Some(id) = call.headers().get("x-request-id") {
        answer.insert_header(("x-request-id", id.clone()));
    }
    answer
}

/// The check of one signature.
async fn es256(call: HttpRequest, state: Data<State>) -> HttpResponse {
    let token = call.headers().get(AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = token.map(|token| decode::<Claims>(token, &state.check, &state.validation));
    match claims {
        Some(Ok(_)) => HttpResponse::Ok().finish(),
        Some(Err(_)) | None => HttpResponse::Unauthorized().finish(),
    }
}

impl State {
    #[expect(clippy::disallowed_methods, reason = "the tables are the floor's own")]
    async fn send(&self, id: Uuid, phone: &str, code: &str) -> Result<(), Failure> {
        let expires_at: DateTime<Utc> = Utc::now() + TimeDelta::minutes(5);
        sqlx::query("INSERT INTO codes (id, phone, code, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(phone)
            .bind(code)
            .bind(expires_at)
            .execute(&self.pool)
            .await?;
        let sms = json!({"phoneNumber": phone, "variables": {"otp": code}});
        self.ask(&self.send_url, &sms).await
    }

    #[expect(clippy::disallowed_methods, reason = "the tables are the floor's own")]
    async fn verify(&self, id: Uuid, code: &str) -> Result<Option<Verified>, Failure> {
        let now = Utc::now();
        let used = sqlx::query(
            "UPDATE codes SET used_at = $3 WHERE id = $1 AND code = $2 AND used_at IS NULL AND expires_at > $3",
        )
        .bind(id)
        .bind(code)
        .bind(now)
        .execute(&self.pool)
        .await?;
        if used.rows_affected() == 0 {
            return Ok(None);
        }
        self.ask(&self.verify_url, &json!({"requestId": id, "otpCode": code}))
            .await?;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: id.to_string(),
            iat: now.timestamp(),
            exp: now.timestamp() + 900,
        };
        Ok(Some(Verified {
            access_token: encode(&Header::new(Algorithm::ES256), &claims, &self.sign)?,
            token_type: "Bearer",
            expires_in: 900,
        }))
    }

    /// One call of the vendor.
    async fn ask(&self, url: &str, body: &Value) -> Result<(), Failure> {
        let answer = self.http.post(url).json(body).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        match answer.get("success") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err("the vendor refused".into()),
        }
    }
}
