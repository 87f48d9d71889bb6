use super::*;

fn made(algorithm: SigningAlgorithm) -> Arc<SigningKey> {
    let key = PrivateKey::generate(algorithm).unwrap();
    Arc::new(SigningKey::read(&key, None).unwrap())
}

fn record(key: &SigningKey, state: State) -> KeyRecord {
    KeyRecord {
        kid: key.kid().to_owned(),
        algorithm: SigningAlgorithm::Es256,
        state,
        created_at: DateTime::<Utc>::UNIX_EPOCH,
        promote_at: None,
        active_at: None,
        retired_at: None,
        gone_at: None,
    }
}

/// security.md 24 and 31: one alg a key, `kid`, `use: sig`, no private member; 3072 bits of RSA.
#[test]
fn a_published_key_has_its_public_members_and_no_other() {
    for (algorithm, expected) in [
        (
            SigningAlgorithm::Es256,
            &["alg", "crv", "kid", "kty", "use", "x", "y"][..],
        ),
        (
            SigningAlgorithm::EdDsa,
            &["alg", "crv", "kid", "kty", "use", "x"],
        ),
        (
            SigningAlgorithm::Rs256,
            &["alg", "e", "kid", "kty", "n", "use"],
        ),
    ] {
        let key = made(algorithm);
        let kid = key.kid().to_owned();

        let published = Published::new(vec![(record(&key, State::Active), key)]).unwrap();

        let json: serde_json::Value = serde_json::from_slice(published.jwks()).unwrap();
        let jwk = json["keys"][0].as_object().unwrap();
        let mut members: Vec<&str> = jwk.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, expected);
        assert_eq!(jwk["alg"], algorithm.name());
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["kid"], kid.as_str());
        let crv = jwk.get("crv").and_then(serde_json::Value::as_str);
        match algorithm {
            SigningAlgorithm::Es256 => assert_eq!(crv, Some("P-256")),
            SigningAlgorithm::EdDsa => assert_eq!(crv, Some("Ed25519")),
            SigningAlgorithm::Rs256 => {
                let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
                assert_eq!(modulus.len() * 8, 3072);
                assert!(modulus[0] >= 0x80);
            }
        }
    }
}

#[test]
fn the_tag_changes_exactly_when_the_bytes_do() {
    let (old, new) = (made(SigningAlgorithm::Es256), made(SigningAlgorithm::EdDsa));
    let set = |states: &[(&Arc<SigningKey>, State)]| {
        let keys = states
            .iter()
            .map(|(key, state)| (record(key, *state), Arc::clone(key)));
        Published::new(keys.collect()).unwrap()
    };
    let one = set(&[(&old, State::Active)]);
    let two = set(&[(&old, State::Active), (&new, State::Next)]);
    let turned = set(&[(&new, State::Active), (&old, State::Retiring)]);
    let again = set(&[(&old, State::Active), (&new, State::Retiring)]);

    assert_ne!(one.etag(), two.etag());
    assert_ne!(two.etag(), turned.etag());
    assert_eq!((two.etag(), two.jwks()), (again.etag(), again.jwks()));
}

#[test]
fn keys_of_which_none_signs_are_not_published() {
    let key = made(SigningAlgorithm::Es256);
    for keys in [vec![], vec![(record(&key, State::Next), key)]] {
        assert!(matches!(Published::new(keys), Err(KeyError::NoActive)));
    }
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    for algorithm in SigningAlgorithm::ALL {
        let key = PrivateKey::new(algorithm, b"no key");
        assert!(SigningKey::read(&key, None).is_err(), "{algorithm:?}");
    }
}
