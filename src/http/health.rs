//! `/livez` and `/readyz`, on the admin listener.

use actix_web::HttpResponse;

use super::call::Call;

/// `GET /livez`: the process answers. No I/O.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`: the database answers too.
pub async fn readyz(call: Call) -> HttpResponse {
    let asked = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(&call.state.pool)
        .await;
    match asked {
        Ok(_) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body("ready\n"),
        Err(_) => HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "5"))
            .content_type("text/plain; charset=utf-8")
            .body("database: out of reach\n"),
    }
}
