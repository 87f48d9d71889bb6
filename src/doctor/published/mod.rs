//! Keys and metadata as others see them, over the network, and what must not be seen from there.

mod judge;

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use serde_json::Value;
use url::Url;

use super::report::Finding;
use super::web::{Page, Web, explain};
use super::within;
use crate::token::keys::KeyRecord;
pub(super) use judge::next;

const METADATA: &str = "issuer.metadata";
const JWKS: &str = "issuer.jwks";
const CACHING: &str = "issuer.caching";
const CLOCK: &str = "issuer.clock";
const ADMIN: &str = "issuer.admin_paths";
const NEXT: &str = "keys.next";

/// Paths of the admin listener, and whether seeing them elsewhere gives something away.
const ADMIN_PATHS: [(&str, bool); 5] = [
    ("/admin/v1/switches", true),
    ("/admin/v1/audit", true),
    ("/metrics", true),
    ("/readyz", false),
    ("/livez", false),
];
/// Whose keys are looked at, and where.
pub(super) struct Published<'a> {
    pub(super) web: &'a Web,
    /// The address that is called: the issuer, unless the operator named another.
    pub(super) base: &'a Url,
    /// `server.issuer`, if the settings could be read.
    pub(super) issuer: Option<&'a str>,
    /// The keys in the database, if it could be asked.
    pub(super) keys: Option<&'a [KeyRecord]>,
    /// How long a key is published before it signs.
    pub(super) publish_ahead: Option<TimeDelta>,
    /// A name that no path has.
    pub(super) made_up: &'a str,
}

/// Looks at all of it.
pub(super) async fn check(published: &Published<'_>, deadline: Duration) -> Vec<Finding> {
    let (metadata, (jwks, clock), caching, admin) = tokio::join!(
        within(deadline, METADATA, published.metadata()),
        async {
            let asked = tokio::time::timeout(deadline, published.jwks()).await;
            asked.unwrap_or_else(|_| {
                let late = Finding::late(JWKS, deadline);
                (late, Finding::skip(CLOCK, "needs the issuer"))
            })
        },
        within(deadline, CACHING, published.caching()),
        within(deadline, ADMIN, published.admin_paths()),
    );
    vec![metadata, jwks, caching, clock, admin]
}

/// What is said without an address.
pub(super) fn unknown(why: &str) -> Vec<Finding> {
    [METADATA, JWKS, CACHING, CLOCK, ADMIN, NEXT]
        .map(|name| Finding::skip(name, why))
        .to_vec()
}

impl Published<'_> {
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn get(&self, path: &str) -> Result<Page, reqwest::Error> {
        self.web.call(self.web.get(self.url(path))).await
    }

    async fn metadata(&self) -> Finding {
        let page = match self.get("/.well-known/oauth-authorization-server").await {
            Ok(page) => page,
            Err(error) => return unseen(METADATA, &error),
        };
        if page.status != 200 {
            return wrong_status(METADATA, &page);
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(&page.body) else {
            let advice = "look at what answers at server.issuer";
            return Finding::fail(METADATA, "it is no JSON object", advice);
        };
        let told = |name| {
            members
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let issuer = told("issuer");
        let Some(ours) = self.issuer else {
            return Finding::ok(METADATA, format!("issuer {issuer:?}"));
        };
        if issuer != ours {
            return Finding::fail(
                METADATA,
                format!("issuer is {issuer:?}, and server.issuer {ours:?}"),
                "another deployment answers there, or a replica runs with other settings: verifiers \
                 refuse its tokens",
            );
        }
        if told("jwks_uri") != format!("{ours}/.well-known/jwks.json") {
            let advice = "something on the way changes the body: let it through as it is";
            return Finding::fail(METADATA, "jwks_uri is not the issuer's", advice);
        }
        Finding::ok(METADATA, format!("issuer {issuer:?}, to the byte"))
    }

    async fn jwks(&self) -> (Finding, Finding) {
        let page = match self.get("/.well-known/jwks.json").await {
            Ok(page) => page,
            Err(error) => {
                let clock = Finding::skip(CLOCK, "needs the issuer");
                return (unseen(JWKS, &error), clock);
            }
        };
        let clock = match page.clock {
            Some(reading) => reading.judge(
                CLOCK,
                "the issuer's clock",
                "let all machines follow a time server: verifiers refuse tokens of tomorrow",
            ),
            None => Finding::skip(CLOCK, "it does not tell its time"),
        };
        (judge::jwks(&page, self.keys), clock)
    }

    async fn caching(&self) -> Finding {
        let page = match self.get("/.well-known/jwks.json").await {
            Ok(page) if page.status == 200 => page,
            Ok(_) | Err(_) => return Finding::skip(CACHING, "needs the keys"),
        };
        let etag = page.header(ETAG.as_str()).to_owned();
        let again = self.web.get(self.url("/.well-known/jwks.json"));
        let again = self.web.call(again.header(IF_NONE_MATCH, &etag)).await;
        let is_kept = again.is_ok_and(|again| again.status == 304);
        let cache = page.header(CACHE_CONTROL.as_str());
        let is_kept = is_kept && !etag.is_empty();
        judge::caching(cache, is_kept, self.publish_ahead)
    }

    /// A gateway may answer every path that it does not know by 401 or with a page of its own, so each is
    /// compared with one that surely is not there.
    async fn admin_paths(&self) -> Finding {
        let nowhere = match self.get(&format!("/{}", self.made_up)).await {
            Ok(page) => page.status,
            Err(_) => return Finding::skip(ADMIN, "needs the issuer"),
        };
        let mut seen = Vec::new();
        for (path, is_private) in ADMIN_PATHS {
            match self.get(path).await {
                Ok(page) if page.status != 404 && page.status != nowhere => {
                    seen.push((path, page.status, is_private));
                }
                Ok(_) => {}
                Err(_) => return Finding::skip(ADMIN, "needs the issuer"),
            }
        }
        judge::admin(&seen)
    }
}

fn unseen(name: &'static str, error: &reqwest::Error) -> Finding {
    let (seen, advice) = explain(error);
    Finding::fail(name, seen, advice)
}

fn wrong_status(name: &'static str, page: &Page) -> Finding {
    let seen = format!("it answers {}", page.status);
    let advice = "have the gateway pass /.well-known/ on to this service, open to everybody";
    Finding::fail(name, seen, advice)
}

/// What is said of the next key without a database.
pub(super) fn unknown_next() -> Finding {
    Finding::skip(NEXT, "needs the keys in the database")
}
