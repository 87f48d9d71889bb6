//! A provider that takes every SMS at once, and the phones that show it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpResponse, HttpServer};
use otp_auth::random::{self, SystemRandom};
use serde_json::{Value, json};

use crate::Failure;

/// The newest code that each phone shows.
#[derive(Default)]
pub(crate) struct Phones(Mutex<HashMap<String, String>>);

impl Phones {
    /// Reads a phone's code, once.
    pub(crate) fn take(&self, phone: &str) -> Option<String> {
        self.lock().remove(phone)
    }

    fn show(&self, phone: &str, code: &str) {
        self.lock().insert(phone.to_owned(), code.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts it on a port of its own; it ends with the process.
pub(crate) fn start(phones: Arc<Phones>) -> Result<SocketAddr, Failure> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::from(Arc::clone(&phones)))
            .route("/otp/send", web::post().to(send))
            .route("/messages/{id}", web::get().to(message))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")?;
    let address = server.addrs().first().copied().ok_or("no address")?;
    tokio::spawn(server.run());
    Ok(address)
}

async fn send(phones: Data<Phones>, body: Json<Value>) -> HttpResponse {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let (Some(phone), Some(code)) = (text("/phoneNumber"), text("/variables/otp")) else {
        return HttpResponse::BadRequest().finish();
    };
    phones.show(phone, code);
    let data = json!({"messageId": random::uuid_v4(&SystemRandom).ok(), "status": "queued"});
    HttpResponse::Created().json(json!({"success": true, "data": data}))
}

async fn message() -> HttpResponse {
    HttpResponse::Ok().json(json!({"success": true, "data": {"status": "delivered"}}))
}
