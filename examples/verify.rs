//! Prints who a token belongs to, or refuses it: this crate with the feature `verifier`, and tokio.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::time::Duration;

use otp_auth::verifier::{CheckError, Verifier};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let issuer = setting("ISSUER").ok_or("ISSUER is missing")?; // as `iss` says it, to the byte
    let audience = setting("AUDIENCE").ok_or("AUDIENCE is missing")?; // this service's own name
    let mut builder = Verifier::builder(issuer)
        .audience(audience)
        .leeway(Duration::from_secs(5)); // by which two clocks may differ
    if let Some(jwks) = setting("JWKS") {
        builder = builder.jwks_url(jwks); // else it is at <issuer>/.well-known/jwks.json
    }
    // One for the whole process: it keeps the keys and renews them. It accepts no type of token but
    // `at+jwt`, and no algorithm but that of the key.
    let verifier = builder.build()?;

    let mut token = String::new();
    stdin().read_to_string(&mut token)?;
    match verifier.check(token.trim()).await {
        Ok(claims) => Ok(writeln!(stdout(), "{}", claims.subject())?),
        Err(CheckError::Refused(why)) => Err(format!("refused: {why}").into()), // 401
        Err(CheckError::KeysUnavailable) => Err("no keys".into()),              // 503
    }
}
