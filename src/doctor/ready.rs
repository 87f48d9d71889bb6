//! What the service on this machine says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::report::Finding;
use super::web::{Page, Web};
use super::within;

const READY: &str = "service.ready";

/// Asks `/readyz` of the admin listener, if that can be reached from here.
pub(super) async fn check(admin: SocketAddr, web: &Web, deadline: Duration) -> Finding {
    let Some(url) = url(admin) else {
        return unknown("server.admin_bind has no fixed port");
    };
    within(deadline, READY, async {
        match web.call(web.get(url)).await {
            Ok(page) => judge(&page),
            Err(error) if error.is_connect() => {
                unknown("no service can be reached at server.admin_bind from here")
            }
            Err(error) => {
                let (seen, advice) = super::web::explain(&error);
                Finding::fail(READY, seen, advice)
            }
        }
    })
    .await
}

/// What is said where nobody can be asked.
pub(super) fn unknown(why: &str) -> Finding {
    Finding::skip(READY, why)
}

/// Who listens on all addresses is asked on the loopback one.
fn url(admin: SocketAddr) -> Option<Url> {
    let ip = admin.ip();
    let ip = match ip {
        IpAddr::V4(_) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    };
    let port = (admin.port() != 0).then_some(admin.port())?;
    let url = format!("http://{}/readyz", SocketAddr::new(ip, port));
    url.parse().ok()
}

fn judge(page: &Page) -> Finding {
    let health: Value = serde_json::from_slice(&page.body).unwrap_or_default();
    let checks = health.get("checks").and_then(Value::as_object);
    let bad = checks.into_iter().flatten().filter_map(|(name, parts)| {
        let part = parts.get(0)?;
        let status = part.get("status").and_then(Value::as_str)?;
        let value = match part.get("observedValue") {
            Some(Value::String(text)) => format!(" ({text})"),
            Some(other) => format!(" ({other})"),
            None => String::new(),
        };
        (status != "pass").then(|| format!("{name} {status}{value}"))
    });
    let bad: Vec<String> = bad.collect();
    let status = health.get("status").and_then(Value::as_str);
    let seen = match bad.as_slice() {
        [] => format!("/readyz answers {}", page.status),
        bad => format!("/readyz answers {}: {}", page.status, bad.join(", ")),
    };
    let advice = "see the service's log and metrics";
    match (page.status, status) {
        (200, Some("pass")) => Finding::ok(READY, seen),
        (200, Some("warn")) => Finding::warn(READY, seen, advice),
        (_, None) => {
            let advice = "something else listens at server.admin_bind";
            Finding::fail(READY, seen, advice)
        }
        (_, Some(_)) => Finding::fail(READY, seen, advice),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::super::report::Level;
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        let asked = |admin: &str| url(admin.parse().unwrap()).map(|url| url.to_string());
        let here = |url: &str| Some(url.to_owned());
        assert_eq!(asked("0.0.0.0:9090"), here("http://127.0.0.1:9090/readyz"));
        assert_eq!(asked("[::]:9090"), here("http://[::1]:9090/readyz"));
        assert_eq!(asked("10.0.0.1:9090"), here("http://10.0.0.1:9090/readyz"));
        assert_eq!(asked("127.0.0.1:0"), None);
    }

    #[test]
    fn it_is_as_bad_as_it_says() {
        let judged = |status, body: &str| {
            let page = Page {
                status,
                headers: HeaderMap::new(),
                body: body.as_bytes().to_vec(),
                clock: None,
            };
            let found = judge(&page);
            (found.level, found.seen)
        };
        let told = |level, seen: &str| (level, seen.to_owned());
        let open = r#"{"status":"warn","checks":{"database":[{"status":"pass"}],
            "provider:breaker":[{"status":"warn","observedValue":"open"}],
            "x":[{"status":"warn","observedValue":7}]}}"#;
        let away = r#"{"status":"fail","checks":{"database":[{"status":"fail"}]}}"#;
        for (status, body, expected) in [
            (
                200,
                r#"{"status":"pass"}"#,
                told(Level::Ok, "/readyz answers 200"),
            ),
            (
                200,
                open,
                told(
                    Level::Warn,
                    "/readyz answers 200: provider:breaker warn (open), x warn (7)",
                ),
            ),
            (
                503,
                away,
                told(Level::Fail, "/readyz answers 503: database fail"),
            ),
            (404, "<html>", told(Level::Fail, "/readyz answers 404")),
            (200, "ok", told(Level::Fail, "/readyz answers 200")),
        ] {
            assert_eq!(judged(status, body), expected, "{body}");
        }
    }
}
