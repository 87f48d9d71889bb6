//! Which settings are refused.

use std::time::Duration;

use otp_auth::verifier::{BuildError, ExpectedError, Verifier};

#[actix_web::test]
async fn keys_come_over_tls_or_from_this_machine() {
    for (issuer, good) in [
        ("https://id.example", true),
        ("https://id.example/tenant/", true),
        ("http://localhost:8080", true),
        ("http://127.0.0.1:8080", true),
        ("http://127.1.2.3", true),
        ("http://[::1]:8080", true),
        ("http://id.example", false),
        ("http://localhost.example", false),
        ("http://10.0.0.1", false),
        ("http://[::2]", false),
        ("ftp://localhost", false),
    ] {
        let built = Verifier::builder(issuer).audience("api").build();

        match built {
            Ok(_) => assert!(good, "{issuer}"),
            Err(error) => assert!(!good && matches!(error, BuildError::Insecure), "{error}"),
        }
    }
    for (issuer, good) in [("http://id.example", true), ("ftp://id.example", false)] {
        let builder = Verifier::builder(issuer).audience("api");
        assert_eq!(builder.allow_plain_http().build().is_ok(), good, "{issuer}");
    }
    for issuer in ["id.example", "", "urn:issuer"] {
        let built = Verifier::builder(issuer).audience("api").build();

        assert!(matches!(built, Err(BuildError::Url)), "{issuer}");
    }
}

/// security.md 27 and 29: an audience is needed, and the leeway is at most 60 s.
#[actix_web::test]
async fn without_an_audience_or_with_much_leeway_nothing_is_built() {
    let refused = |result| match result {
        Err(BuildError::Expected(error)) => Some(error),
        _ => None,
    };
    let builder = || Verifier::builder("https://id.example");

    assert_eq!(refused(builder().build()), Some(ExpectedError::Audience));
    let long = builder().audience("api").leeway(Duration::from_secs(61));
    assert_eq!(refused(long.build()), Some(ExpectedError::Leeway));
}

#[test]
fn outside_of_a_runtime_nothing_is_built() {
    let built = Verifier::builder("https://id.example")
        .audience("api")
        .build();

    assert!(matches!(built, Err(BuildError::NoRuntime(_))));
}
