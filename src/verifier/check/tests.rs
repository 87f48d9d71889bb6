//! What is refused, and for which reason.

mod forged;

use serde_json::{Value, json};

use super::super::testing::{ISSUER, Signer, claims, claims_with, expected, now};
use super::*;

fn check(signer: &Signer, token: &str) -> Result<Claims, Refused> {
    verify(token, &signer.keys(), &expected(60), now())
}

fn seconds(n: i64) -> TimeDelta {
    TimeDelta::seconds(n)
}

#[test]
fn a_good_token_of_each_algorithm_says_what_was_signed() {
    for signer in [Signer::es256("k"), Signer::ed_dsa("k"), Signer::rs256("k")] {
        let mut all = claims();
        for (name, value) in [
            ("aud", json!(["other", "api"])),
            ("auth_time", json!(now().timestamp() - 5)),
            ("amr", json!(["otp", "sms"])),
            ("scope", json!("phone  orders.read")),
            ("phone_number", json!("+919876543210")),
            ("phone_number_verified", json!(true)),
            ("tenant", json!({"id": 7})),
        ] {
            all[name] = value;
        }

        let claims = check(&signer, &signer.token(&all)).unwrap();

        assert_eq!(claims.issuer(), ISSUER);
        assert_eq!(claims.subject(), "user-1");
        assert_eq!(claims.audience(), ["other", "api"]);
        assert_eq!(claims.client_id(), "web");
        assert_eq!(claims.issued_at(), now());
        assert_eq!(claims.expires_at(), now() + seconds(600));
        assert_eq!(claims.token_id(), "token-1");
        assert_eq!(claims.session_id(), "session-1");
        assert_eq!(claims.auth_time(), Some(now() - seconds(5)));
        assert_eq!(claims.amr(), ["otp", "sms"]);
        assert_eq!(claims.scopes(), ["phone", "orders.read"]);
        assert!(claims.has_scope("orders.read"));
        assert!(!claims.has_scope("orders") && !claims.has_scope("Phone"));
        let phone = claims.phone_number().unwrap();
        assert_eq!(phone.as_e164(), "+919876543210");
        assert_eq!(
            Value::from(claims.extra().clone()),
            json!({"tenant": {"id": 7}})
        );
        for printed in [format!("{claims:?}"), format!("{phone:?} {phone}")] {
            assert!(!printed.contains("98765"), "{printed}");
        }
    }
}

#[test]
fn a_number_that_is_not_said_to_be_verified_is_not_shown() {
    let signer = Signer::es256("k");
    for verified in [json!(false), json!("true"), json!(null)] {
        let mut claims = claims_with("phone_number", json!("+919876543210"));
        claims["phone_number_verified"] = verified;

        let claims = check(&signer, &signer.token(&claims)).unwrap();

        assert_eq!(claims.phone_number(), None);
    }
}

/// security.md 27.
#[test]
fn a_token_for_another_audience_is_refused() {
    let signer = Signer::es256("k");
    for aud in [json!("api"), json!(["api"]), json!(["x", "api"])] {
        check(&signer, &signer.token(&claims_with("aud", aud))).unwrap();
    }
    for aud in [
        json!("other"),
        json!("API"),
        json!("api "),
        json!("apis"),
        json!(["x", "y"]),
    ] {
        let token = signer.token(&claims_with("aud", aud.clone()));
        assert_eq!(check(&signer, &token), Err(Refused::Audience), "{aud}");
    }
    let either = Expected::new(ISSUER, ["x", "other"], MAX_LEEWAY).unwrap();
    let token = signer.token(&claims_with("aud", json!("other")));
    verify(&token, &signer.keys(), &either, now()).unwrap();
}

/// security.md 28.
#[test]
fn the_issuer_is_compared_exactly() {
    let signer = Signer::es256("k");
    for iss in [
        "https://id.example/",
        "https://ID.example",
        "http://id.example",
        "id.example",
    ] {
        let token = signer.token(&claims_with("iss", json!(iss)));
        assert_eq!(check(&signer, &token), Err(Refused::Issuer), "{iss}");
    }
}

/// security.md 29: not a second longer than the leeway, which is at most 60 s.
#[test]
fn expiry_and_start_are_honoured_to_the_second() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    for leeway in [0, 60] {
        let second = i64::try_from(leeway).unwrap();
        let ended = signer.token(&claims());
        let end = now() + seconds(600);
        for (after, want) in [
            (-1, None),
            (0, Some(Refused::Expired)),
            (1, Some(Refused::Expired)),
        ] {
            let at = end + seconds(second + after);
            let got = verify(&ended, &keys, &expected(leeway), at);
            assert_eq!(got.err(), want, "leeway {leeway}, {after} s after");
        }
        let early = signer.token(&claims_with("nbf", json!(now().timestamp())));
        for (after, want) in [(-1, Some(Refused::NotYetValid)), (0, None), (1, None)] {
            let at = now() + seconds(after - second);
            let got = verify(&early, &keys, &expected(leeway), at);
            assert_eq!(got.err(), want, "leeway {leeway}, {after} s after");
        }
    }
    for (leeway, ok) in [(59, true), (60, true), (61, false)] {
        let built = Expected::new(ISSUER, ["api"], Duration::from_secs(leeway));
        assert_eq!(built.is_ok(), ok, "{leeway}");
    }
    let hair = MAX_LEEWAY + Duration::from_nanos(1);
    assert_eq!(
        Expected::new(ISSUER, ["api"], hair),
        Err(ExpectedError::Leeway)
    );
}

#[test]
fn a_clock_that_is_behind_does_not_refuse_a_fresh_token() {
    let signer = Signer::es256("k");
    let token = signer.token(&claims());

    verify(&token, &signer.keys(), &expected(0), now() - seconds(3600)).unwrap();
}

/// security.md 26.
#[test]
fn a_token_without_a_claim_that_all_have_is_refused() {
    let signer = Signer::es256("k");
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        let mut bad = vec![without];
        for value in [
            json!(null),
            json!(""),
            json!([]),
            json!([1]),
            json!(1.5),
            json!("7"),
            json!({}),
        ] {
            if !(value == json!("7") && claims()[name].is_string()) {
                bad.push(claims_with(name, value));
            }
        }
        for claims in bad {
            let got = check(&signer, &signer.token(&claims));
            assert_eq!(got, Err(Refused::MissingClaim(name)), "{claims}");
        }
    }
    for (name, value) in [
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("iat", json!(i64::MIN)),
    ] {
        let got = check(&signer, &signer.token(&claims_with(name, value)));
        assert_eq!(got, Err(Refused::MissingClaim(name)));
    }
    for (name, value) in [
        ("nbf", json!("0")),
        ("auth_time", json!(1.5)),
        ("scope", json!(["phone"])),
        ("amr", json!("sms")),
        ("phone_number", json!("9876543210")),
        ("phone_number", json!("+91 98765")),
    ] {
        let got = check(&signer, &signer.token(&claims_with(name, value)));
        assert_eq!(got, Err(Refused::Malformed), "{name}");
    }
}

#[test]
fn a_payload_with_a_claim_twice_is_refused() {
    let signer = Signer::es256("k");
    let text = claims().to_string().replacen('{', r#"{"aud":"x","#, 1);

    let token = signer.token_of(&signer.header().to_string(), &text);

    assert_eq!(check(&signer, &token), Err(Refused::Malformed));
}

#[test]
fn expectations_that_make_no_sense_are_refused() {
    let none: [&str; 0] = [];
    let leeway = Duration::ZERO;

    assert_eq!(
        Expected::new("", ["api"], leeway),
        Err(ExpectedError::Issuer)
    );
    assert_eq!(
        Expected::new(ISSUER, none, leeway),
        Err(ExpectedError::Audience)
    );
    assert_eq!(
        Expected::new(ISSUER, ["api", ""], leeway),
        Err(ExpectedError::Audience)
    );
}
