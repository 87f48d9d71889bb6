//! The `otp-auth` program: reads the command line and hands over to the library.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use otp_auth::cli::{self, Cli};
use otp_auth::telemetry::Chain;

#[tokio::main]
async fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    cli::run(Cli::parse(), environment)
        .await
        .unwrap_or_else(|error| {
            // There is nobody left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "otp-auth: {}", Chain(&error));
            ExitCode::FAILURE
        })
}
