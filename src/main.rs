//! The `otp-auth` program: reads the command line and hands over to the library.

use std::{error::Error, ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;
use otp_auth::{dev::test_database, random::SystemRandom};

#[derive(Parser)]
#[command(version, about)]
enum Command {
    /// Runs a command with `DATABASE_URL` set to an empty database that is thrown away afterwards.
    TestDatabase {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Command::parse() {
        Command::TestDatabase { command } => {
            let database_url = std::env::var_os(test_database::DATABASE_URL);
            test_database::run(&command, database_url.as_deref(), &SystemRandom).await
        }
    };
    ended.unwrap_or_else(|error| {
        // There is nobody left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "otp-auth: {}", with_causes(&error));
        ExitCode::FAILURE
    })
}

fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}
