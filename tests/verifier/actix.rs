//! The extractor, over HTTP.

use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, web};
use otp_auth::verifier::actix::Authenticated;
use otp_auth::verifier::{Denied, Verifier};

use crate::support::{Issuer, Signer};

async fn whoami(user: Authenticated) -> String {
    user.0.subject().to_owned()
}

async fn write(user: Authenticated) -> Result<String, Denied> {
    user.require_scope("orders.write")?;
    Ok(whoami(user).await)
}

async fn read(user: Authenticated) -> Result<String, Denied> {
    user.require_scope("orders.read")?;
    Ok(whoami(user).await)
}

fn serve(verifier: Verifier) -> String {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(verifier.clone()))
            .route("/whoami", web::get().to(whoami))
            .route("/write", web::get().to(write))
            .route("/read", web::get().to(read))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    address
}

async fn get(url: String, authorization: &[&str]) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(url);
    for value in authorization {
        request = request.header("Authorization", *value);
    }
    request.send().await.unwrap()
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// security.md 23: 401 for what is not ours, with nothing fetched but the set.
#[actix_web::test]
async fn a_handler_is_reached_with_a_good_token_only() {
    let (signer, other) = (Signer::new("one"), Signer::new("one"));
    let issuer = Issuer::start(&[&signer]);
    let service = serve(issuer.verifier());
    let good = format!("Bearer {}", signer.token(&issuer.clock));
    let forged = format!("Bearer {}", other.token(&issuer.clock));

    let response = get(format!("{service}/whoami"), &[&good]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "user-1");

    for (authorization, challenge) in [
        (&[][..], "Bearer"),
        (&["Basic dTpw"], "Bearer"),
        (
            &[forged.as_str()],
            r#"Bearer error="invalid_token", error_description="the signature is wrong""#,
        ),
        (
            &["Bearer x"],
            r#"Bearer error="invalid_token", error_description="the token is malformed""#,
        ),
        (
            &[good.as_str(), good.as_str()],
            r#"Bearer error="invalid_token", error_description="the Authorization header is malformed""#,
        ),
    ] {
        let response = get(format!("{service}/whoami"), authorization).await;
        assert_eq!(response.status(), 401);
        assert_eq!(header(&response, "WWW-Authenticate"), challenge);
        assert_eq!(response.text().await.unwrap(), "");
    }
    let in_query = format!(
        "{service}/whoami?access_token={}",
        signer.token(&issuer.clock)
    );
    assert_eq!(get(in_query, &[]).await.status(), 401);
    assert_eq!(issuer.asked().len(), 1);
}

#[actix_web::test]
async fn a_scope_can_be_required() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let service = serve(issuer.verifier());
    let good = format!("Bearer {}", signer.token(&issuer.clock));

    assert_eq!(get(format!("{service}/read"), &[&good]).await.status(), 200);
    let response = get(format!("{service}/write"), &[&good]).await;

    assert_eq!(response.status(), 403);
    assert_eq!(
        header(&response, "WWW-Authenticate"),
        r#"Bearer error="insufficient_scope", scope="orders.write""#
    );
}

#[actix_web::test]
async fn without_keys_the_answer_is_503() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    issuer.answer(|answers| answers.status = StatusCode::BAD_GATEWAY);
    let service = serve(issuer.verifier());
    let good = format!("Bearer {}", signer.token(&issuer.clock));

    let response = get(format!("{service}/whoami"), &[&good]).await;

    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "Retry-After"), "1");
    assert_eq!(header(&response, "WWW-Authenticate"), "");
    // Who sends none is told that, at any time.
    assert_eq!(get(format!("{service}/whoami"), &[]).await.status(), 401);
}
