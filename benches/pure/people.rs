//! What is known of a person: the phone's number, codes, receipts, and what of it is sealed.

use std::collections::BTreeSet;
use std::hint::black_box;

use chrono::TimeDelta;
use otp_auth::device_receipt::DeviceReceipt;
use otp_auth::otp::code::{Binding, Guess, OtpCode};
use otp_auth::phone::{Country, PhoneNumber, PhoneRules, warm_up};
use otp_auth::random::SystemRandom;
use otp_auth::secrets::Purpose;
use uuid::Uuid;

use super::{Group, at, forever, keyring};

const E164: &str = "+919876543210";

pub(crate) fn groups() -> Vec<Group> {
    vec![phones(), codes(), secrets(), receipts()]
}

fn phones() -> Group {
    // As config/default.toml has them.
    let india = Country::parse("IN").unwrap();
    let rules = forever(PhoneRules::new(india, BTreeSet::from([india]), true).unwrap());
    warm_up(rules);
    let parse = |text| PhoneNumber::parse(black_box(text), rules);
    assert!(parse(E164).is_ok() && parse("098765 43210").is_ok());
    Group::new("Phone number")
        .with("parse +919876543210", move || parse(E164))
        .with("parse 098765 43210", move || parse("098765 43210"))
        .with("refuse +91 12345 67890, no number", move || {
            parse("+91 12345 67890")
        })
        .with("refuse +1 202 555 0123, no such country", move || {
            parse("+1 202 555 0123")
        })
        .with("refuse letters", move || parse("my number"))
        .with("read a stored one", || {
            PhoneNumber::from_stored_e164(black_box(E164))
        })
        .with("keyed index", {
            let (keyring, phone) = (keyring(), parse(E164).unwrap());
            move || keyring.phone_index(black_box(&phone))
        })
}

fn codes() -> Group {
    let keyring = keyring();
    let binding = Binding {
        nonce: &[7; 32],
        request: Uuid::from_u128(1),
        client: "web",
        purpose: "login",
    };
    let code = OtpCode::derive(keyring, binding);
    let right = Guess::parse(code.digits()).unwrap();
    Group::new("Code")
        .with("derive", move || {
            OtpCode::derive(keyring, black_box(binding))
        })
        .with("read a typed one", || Guess::parse(black_box("123456")))
        .with("compare, in constant time", move || {
            code.matches(black_box(&right))
        })
}

fn secrets() -> Group {
    let keyring = keyring();
    let phone = PhoneNumber::from_stored_e164(E164).unwrap();
    let index = keyring.phone_index(&phone);
    let seal = move |purpose, plain: &[u8]| {
        let binding = index.as_bytes();
        keyring
            .seal(purpose, binding, black_box(plain), &SystemRandom)
            .unwrap()
    };
    let reply: &[u8] = &[b'x'; 1024];
    let (number, kept) = (
        seal(Purpose::Phone, E164.as_bytes()),
        seal(Purpose::Reply, reply),
    );
    Group::new("Sealed value")
        .with("seal a number", move || {
            seal(Purpose::Phone, E164.as_bytes())
        })
        .with("open a number, and read it", move || {
            keyring
                .open_phone(index.as_bytes(), black_box(&number))
                .unwrap()
        })
        .with("seal a reply of 1 KiB", move || seal(Purpose::Reply, reply))
        .with("open a reply of 1 KiB", move || {
            keyring
                .open(Purpose::Reply, index.as_bytes(), black_box(&kept))
                .unwrap()
        })
}

fn receipts() -> Group {
    let keyring = keyring();
    let index = |e164| keyring.phone_index(&PhoneNumber::from_stored_e164(e164).unwrap());
    let (mine, other) = (index(E164), index("+919812345678"));
    let issue = move || DeviceReceipt::issue(mine, keyring, &SystemRandom, at(0)).unwrap();
    let sent: &str = forever(issue().expose().to_owned());
    let is_for = move |phone| {
        let receipt = DeviceReceipt::new(black_box(sent)).unwrap();
        receipt.is_for(phone, keyring, TimeDelta::days(180), at(1))
    };
    assert!(is_for(mine) && !is_for(other));
    Group::new("Device receipt")
        .with("make", issue)
        .with("take for its phone", move || is_for(mine))
        .with("refuse for another", move || is_for(other))
}
