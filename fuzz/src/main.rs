//! Gives what libFuzzer makes up to the target that `OTP_AUTH_FUZZ_TARGET` names.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_auth::fuzzing::TARGETS;

static CHECK: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("OTP_AUTH_FUZZ_TARGET").unwrap_or_default();
    let mut found = TARGETS.iter().filter(|(name, _)| *name == wanted);
    let (_, check) = found.next().expect("OTP_AUTH_FUZZ_TARGET names a target");
    *check
});

fuzz_target!(|data: &[u8]| CHECK(data));
