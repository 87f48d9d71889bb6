//! What others may see, and what they must.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::super::report::Finding;
use super::super::web::Page;
use super::{ADMIN, CACHING, JWKS, NEXT, wrong_status};
use crate::clock::rfc3339;
use crate::token::keys::{KeyPolicy, KeyRecord, State};
use crate::verifier::KeySet;

/// Beyond its time, a promotion is late from here on: replicas look every half second.
const LATE: TimeDelta = TimeDelta::seconds(60);

pub(super) fn jwks(page: &Page, stored: Option<&[KeyRecord]>) -> Finding {
    if page.status != 200 {
        return wrong_status(JWKS, page);
    }
    let Ok(set) = KeySet::parse(&page.body) else {
        return Finding::fail(
            JWKS,
            "it is no JWK set",
            "look at what answers at server.issuer",
        );
    };
    if has_private(&page.body) {
        let advice =
            "everybody can sign tokens: run otp-auth keys revoke, and find out who wrote it there";
        return Finding::fail(JWKS, "a private or symmetric key is in it", advice);
    }
    let count = set.len();
    let Some(stored) = stored else {
        let seen = format!("keys: {count}; the database could not be asked which sign");
        return Finding::ok(JWKS, seen);
    };
    let Some(active) = stored.iter().find(|key| key.state == State::Active) else {
        let advice = "start the service once: it makes the first key";
        return Finding::fail(JWKS, "no key signs", advice);
    };
    if !set.contains(&active.kid) {
        return Finding::fail(
            JWKS,
            format!("the key that signs is not there: {}", active.kid),
            "another deployment answers there, or a cache on the way is older than \
             tokens.publish_ahead_seconds: verifiers refuse all new tokens",
        );
    }
    let seen = format!("keys: {count}; the one that signs is there: {}", active.kid);
    Finding::ok(JWKS, seen)
}

/// Whether a member is there that only whoever signs may have (RFC 7518 section 6).
fn has_private(jwks: &[u8]) -> bool {
    let set: Value = serde_json::from_slice(jwks).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array);
    let mut keys = keys.into_iter().flatten();
    keys.any(|key| ["d", "k"].iter().any(|name| key.get(name).is_some()))
}

pub(super) fn caching(cache: &str, is_kept: bool, ahead: Option<TimeDelta>) -> Finding {
    let seen = format!("Cache-Control {cache:?}");
    let mut directives = cache.split(',').map(str::trim);
    let max_age = directives.find_map(|directive| directive.strip_prefix("max-age="));
    let Some(max_age) = max_age.and_then(|seconds| seconds.parse::<i64>().ok()) else {
        let advice =
            "have the gateway pass Cache-Control on: verifiers ask too often, or too seldom";
        return Finding::warn(CACHING, seen, advice);
    };
    if ahead.is_some_and(|ahead| TimeDelta::seconds(max_age) > ahead) {
        return Finding::fail(
            CACHING,
            seen,
            "a key signs before such a cache knows it: have the gateway pass Cache-Control on, or raise \
             tokens.publish_ahead_seconds",
        );
    }
    if !is_kept {
        let advice =
            "have the gateway pass ETag and If-None-Match on: unchanged keys are sent again";
        return Finding::warn(CACHING, format!("{seen}, and no ETag that works"), advice);
    }
    Finding::ok(CACHING, format!("{seen}, and an ETag that works"))
}

pub(super) fn admin(seen: &[(&str, u16, bool)]) -> Finding {
    if seen.is_empty() {
        return Finding::ok(ADMIN, "none is served");
    }
    let list: Vec<String> = seen
        .iter()
        .map(|(path, status, _)| format!("{path} {status}"))
        .collect();
    let list = list.join(", ");
    if seen.iter().any(|(.., is_private)| *is_private) {
        let advice = "let no gateway lead to server.admin_bind";
        return Finding::fail(ADMIN, list, advice);
    }
    let advice = "whoever asks learns how the service is: keep that to load balancers";
    Finding::warn(ADMIN, list, advice)
}

/// When the next key signs, and whether somebody looks after that.
pub(in crate::doctor) fn next(
    keys: &[KeyRecord],
    policy: &KeyPolicy,
    now: DateTime<Utc>,
) -> Finding {
    let idle = "no replica looks after the keys: start one, or look at its log";
    let next = keys.iter().find(|key| key.state == State::Next);
    let Some((next, promote_at)) = next.and_then(|next| Some((next, next.promote_at?))) else {
        let active = keys.iter().find(|key| key.state == State::Active);
        let since = active.map(|active| active.active_at.unwrap_or(active.created_at));
        let Some(since) = since else {
            let advice = "start the service once: it makes the first key";
            return Finding::fail(NEXT, "there is no key", advice);
        };
        let made_at = since + policy.rotate_every - policy.publish_ahead;
        let seen = format!("it is made at {}", rfc3339(made_at));
        return if now > made_at + LATE {
            Finding::warn(NEXT, seen, idle)
        } else {
            Finding::ok(NEXT, seen)
        };
    };
    let seen = format!("{} signs from {}", next.kid, rfc3339(promote_at));
    if now <= promote_at + LATE {
        return Finding::ok(NEXT, seen);
    }
    if !policy.verifiers.is_empty() && now <= promote_at + policy.verifier_deadline + LATE {
        let advice = "a verifier of tokens.verifiers has not fetched it: see otp-auth keys list";
        return Finding::warn(NEXT, seen, advice);
    }
    Finding::warn(NEXT, seen, idle)
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Level;
    use super::*;
    use crate::token::keys::SigningAlgorithm;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(state: State, active_at: Option<i64>, promote_at: Option<i64>) -> KeyRecord {
        KeyRecord {
            kid: state.name().to_owned(),
            algorithm: SigningAlgorithm::Es256,
            state,
            created_at: at(0),
            promote_at: promote_at.map(at),
            active_at: active_at.map(at),
            retired_at: None,
            gone_at: None,
        }
    }

    fn policy(verifiers: &[&str]) -> KeyPolicy {
        KeyPolicy {
            algorithm: SigningAlgorithm::Es256,
            rotate_every: TimeDelta::seconds(1000),
            publish_ahead: TimeDelta::seconds(300),
            keep_after: TimeDelta::seconds(100),
            longest_token: TimeDelta::seconds(100),
            verifiers: verifiers.iter().map(|name| (*name).to_owned()).collect(),
            verifier_deadline: TimeDelta::seconds(500),
        }
    }

    #[test]
    fn a_next_key_that_nobody_makes_or_lets_sign_is_late() {
        let active = key(State::Active, Some(100), None);
        let following = key(State::Next, None, Some(1100));
        let judge = |keys: &[KeyRecord], verifiers: &[&str], now| {
            next(keys, &policy(verifiers), at(now)).level
        };
        assert_eq!(judge(&[], &[], 0), Level::Fail);
        let alone = [active.clone()];
        // It is made 300 s before it signs, at 100 + 1000.
        assert_eq!(judge(&alone, &[], 860), Level::Ok);
        assert_eq!(judge(&alone, &[], 861), Level::Warn);
        let both = [active, following];
        assert_eq!(judge(&both, &[], 1160), Level::Ok);
        assert_eq!(judge(&both, &[], 1161), Level::Warn);
        let asked = |now| next(&both, &policy(&["gateway"]), at(now)).advice.unwrap();
        assert!(asked(1161).contains("tokens.verifiers"));
        assert!(asked(1661).contains("no replica looks after the keys"));
    }

    #[test]
    fn no_cache_may_be_older_than_a_key_that_signs() {
        let ahead = Some(TimeDelta::seconds(600));
        for (cache, is_kept, level) in [
            (
                "public, max-age=300, stale-while-revalidate=60",
                true,
                Level::Ok,
            ),
            ("max-age=600", true, Level::Ok),
            ("max-age=601", true, Level::Fail),
            ("public, max-age=300", false, Level::Warn),
            ("public", true, Level::Warn),
            ("", true, Level::Warn),
            ("max-age=soon", true, Level::Warn),
        ] {
            assert_eq!(caching(cache, is_kept, ahead).level, level, "{cache}");
        }
        assert_eq!(caching("max-age=601", true, None).level, Level::Ok);
    }

    #[test]
    fn a_key_that_everybody_could_sign_with_is_seen() {
        for (jwks, expected) in [
            (r#"{"keys":[{"kty":"EC","x":"AA"}]}"#, false),
            (r#"{"keys":[{"kty":"EC"},{"kty":"EC","d":"AA"}]}"#, true),
            (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, true),
            (r#"{"keys":{}}"#, false),
            ("x", false),
        ] {
            assert_eq!(has_private(jwks.as_bytes()), expected, "{jwks}");
        }
    }

    #[test]
    fn health_tells_little_and_the_rest_too_much() {
        assert_eq!(admin(&[]).level, Level::Ok);
        let found = admin(&[("/livez", 200, false)]);
        assert_eq!(
            (found.level, found.seen.as_str()),
            (Level::Warn, "/livez 200")
        );
        let found = admin(&[("/metrics", 200, true), ("/livez", 200, false)]);
        let seen = "/metrics 200, /livez 200";
        assert_eq!((found.level, found.seen.as_str()), (Level::Fail, seen));
    }
}
