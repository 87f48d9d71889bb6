// Checks one access token: verify TOKEN, with ISSUER, AUDIENCE and JWKS_URL in the environment.

use std::env;
use std::process::ExitCode;

use otp_auth::verifier::Verifier;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut builder = Verifier::builder(env::var("ISSUER")?).audience(env::var("AUDIENCE")?);
    if let Ok(url) = env::var("JWKS_URL") {
        builder = builder.jwks_url(url);
    }
    // One for the whole process, shared by its clones: it keeps the keys fresh in the background.
    let verifier = builder.build()?;

    let token = env::args().nth(1).ok_or("no token")?;
    match verifier.check(&token).await {
        Ok(claims) => {
            println!("{}", claims.subject());
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            eprintln!("refused: {refused}");
            Ok(ExitCode::FAILURE)
        }
    }
}
