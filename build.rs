//! How the program is linked where it is to be small.

use std::env;

#[expect(
    clippy::disallowed_methods,
    reason = "this is how Cargo tells it, and it is no part of the program"
)]
fn told(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_small = told("PROFILE") == "release";
    let is_gnu = told("CARGO_CFG_TARGET_OS") == "linux" && told("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_small && is_gnu {
        // 700 kB of relocations, which are read at each start and stay in memory, become 7 kB (glibc 2.36).
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        if told("CARGO_CFG_TARGET_ARCH") == "x86_64" {
            // Functions that are the same become one; there Rust links with LLD, which can.
            println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        }
    }
}
