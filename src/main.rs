//! otp-auth
fn main() {}
