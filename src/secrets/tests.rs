//! The keyring: what opens what.

use super::*;
use crate::random::SystemRandom;

fn keyring(byte: u8) -> Keyring {
    Keyring::derive(&SecretBox::new(Box::new([byte; 32]))).unwrap()
}

#[test]
fn a_sealed_value_opens_only_with_its_key_purpose_and_binding() {
    let ring = keyring(1);
    let sealed = ring
        .seal(Purpose::Phone, b"row", b"+919876543210", &SystemRandom)
        .unwrap();

    let opened = ring.open(Purpose::Phone, b"row", &sealed).unwrap();
    assert_eq!(opened.as_slice(), b"+919876543210");
    assert_eq!(
        keyring(2).open(Purpose::Phone, b"row", &sealed),
        Err(OpenError)
    );
    assert_eq!(ring.open(Purpose::Cookie, b"row", &sealed), Err(OpenError));
    assert_eq!(ring.open(Purpose::Phone, b"other", &sealed), Err(OpenError));
}

#[test]
fn a_sealed_value_with_any_byte_changed_or_cut_does_not_open() {
    let ring = keyring(1);
    let sealed = ring
        .seal(Purpose::Cookie, b"", b"value", &SystemRandom)
        .unwrap();

    for at in 0..sealed.len() {
        let mut bent = sealed.clone();
        bent[at] ^= 1;
        assert_eq!(
            ring.open(Purpose::Cookie, b"", &bent),
            Err(OpenError),
            "byte {at}"
        );
        let cut = &sealed[..at];
        assert_eq!(
            ring.open(Purpose::Cookie, b"", cut),
            Err(OpenError),
            "cut at {at}"
        );
    }
}

#[test]
fn a_sealed_value_never_repeats_and_never_shows_its_content() {
    let ring = keyring(1);
    let seal = || {
        ring.seal(Purpose::Phone, b"", b"+919876543210", &SystemRandom)
            .unwrap()
    };

    let (one, two) = (seal(), seal());

    assert_ne!(one, two);
    assert!(!one.windows(6).any(|part| part == b"987654"));
}

#[test]
fn fingerprints_tell_apart_parts_that_join_to_the_same_bytes() {
    let ring = keyring(1);

    assert_ne!(
        ring.fingerprint(&[b"ab", b"c"]),
        ring.fingerprint(&[b"a", b"bc"])
    );
    assert_eq!(
        ring.fingerprint(&[b"ab", b"c"]),
        ring.fingerprint(&[b"ab", b"c"])
    );
}

#[test]
fn debug_output_shows_no_key_and_no_index() {
    let index = PhoneIndex([7; 32]);

    assert_eq!(
        format!("{:?} {index:?}", keyring(9)),
        "Keyring(***) PhoneIndex(***)"
    );
}

const OLD: u8 = 1;
const NEW: u8 = 2;

fn key(byte: u8) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new([byte; 32]))
}

/// The keyring of a database whose carried keys come from [`OLD`].
fn rotated(current: u8, others: &[u8]) -> Keyring {
    let others: Vec<_> = others.iter().map(|byte| key(*byte)).collect();
    let masters = MasterKeys::derive(&key(current), &others).unwrap();
    let carried = MasterKeys::derive(&key(OLD), &[]).unwrap();
    Keyring::new(masters, &carried.carried_from_current().unwrap()).unwrap()
}

/// The keyring before a rotation, and at each of its steps.
fn step(number: u8) -> Keyring {
    match number {
        0 => rotated(OLD, &[]),
        1 => rotated(OLD, &[NEW]),
        2 => rotated(NEW, &[OLD]),
        _ => rotated(NEW, &[]),
    }
}

#[test]
fn the_keys_of_each_step_open_what_those_of_the_next_to_it_sealed() {
    let seal = |ring: &Keyring| {
        let sealed = ring.seal(Purpose::Session, b"row", b"value", &SystemRandom);
        sealed.unwrap()
    };
    let open = |ring: &Keyring, sealed: &[u8]| {
        let opened = ring.open(Purpose::Session, b"row", sealed);
        opened.map(|value| value.to_vec())
    };
    for number in 0..3 {
        let (one, next) = (step(number), step(number + 1));
        for (by, to) in [(&one, &next), (&next, &one)] {
            assert_eq!(open(to, &seal(by)).unwrap(), b"value");
        }
    }
    assert_eq!(
        open(&step(3), &seal(&step(1))),
        Err(OpenError),
        "why one waits"
    );
}

#[test]
fn what_hashes_stays_the_same_under_another_master_key() {
    let phone = PhoneNumber::from_stored_e164("+919876543210").unwrap();
    let (before, after) = (keyring(OLD), rotated(NEW, &[]));

    assert_eq!(before.phone_index(&phone), after.phone_index(&phone));
    assert_eq!(before.code_tag(&[b"x"]), after.code_tag(&[b"x"]));
    assert_eq!(before.refresh_tag(&[b"x"]), after.refresh_tag(&[b"x"]));
    assert_eq!(before.fingerprint(&[b"x"]), after.fingerprint(&[b"x"]));
    assert_eq!(before.lookup("k", b"x"), after.lookup("k", b"x"));
    assert_ne!(keyring(NEW).phone_index(&phone), after.phone_index(&phone));
    let index = before.phone_index(&phone);
    let receipt = before.seal_receipt(index, b"then", &SystemRandom).unwrap();
    assert_eq!(
        after.open_receipt(index, &receipt).unwrap().as_slice(),
        b"then"
    );
}

/// Their first byte is one that it does not know, so that it refuses to start.
#[test]
fn the_version_before_reads_what_is_sealed_under_its_key_only() {
    let first = |ring: &Keyring| {
        let sealed = ring.seal(Purpose::SigningKey, b"kid", b"der", &SystemRandom);
        sealed.unwrap()[0]
    };

    assert_eq!(first(&keyring(OLD)), 1);
    assert_eq!(first(&rotated(OLD, &[NEW])), 1);
    assert_eq!(first(&rotated(NEW, &[OLD])), 2);
}

/// A change of these would lose every row there is. Computed with Python, by RFC 5869 and RFC 2104.
#[test]
fn what_is_derived_never_changes() {
    let ring = keyring(7);
    let phone = PhoneNumber::from_stored_e164("+919876543210").unwrap();
    let hex = |bytes: &[u8]| KeyId(bytes[..4].try_into().unwrap()).to_string();

    let derived = [
        ring.master().to_string(),
        hex(ring.phone_index(&phone).as_bytes()),
        hex(&ring.code_tag(&[b"x"])),
        hex(&ring.fingerprint(&[b"x"])),
        hex(&ring.lookup("k", b"x")),
        hex(&ring.refresh_tag(&[b"x"])),
    ];

    assert_eq!(
        derived,
        [
            "ee4bec8b", "4473f902", "1e7eb270", "e4c5808f", "6f89f103", "30a9888e"
        ]
    );
}
