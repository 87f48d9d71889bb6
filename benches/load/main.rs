//! How fast the service is, as ratios to a floor that runs beside it.
//!
//! ```text
//! ./test bench load [--runs N] [--seconds N] [--only FIGURE,...] [--markdown FILE]
//! ```
//!
//! The floor (`floor.rs`) does what no login can do without, and nothing else. It and the service, both real
//! processes, get the same load in turns, over the same PostgreSQL, which keeps what it commits (`fsync`,
//! `synchronous_commit`), and the same vendor (`vendor.rs`). [`wrk`](https://github.com/wg/wrk) makes the load,
//! with the scripts of `lua/`. Everything is on this machine and ends by itself.
//!
//! It exits with 1 when a figure misses its target.

#![expect(
    clippy::disallowed_methods,
    reason = "it stands beside the service and takes the time and chance as they are"
)]

mod arguments;
mod bulk;
mod cluster;
mod figures;
mod floor;
mod hooks;
mod lasting;
mod machine;
mod process;
mod service;
mod table;
mod tokens;
mod turns;
mod vendor;
mod wrk;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use actix_web::rt::System;
use clap::Parser as _;

use arguments::{Arguments, Role};

/// Why a figure could not be taken.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let done = match Arguments::parse().role {
        Role::Run(wanted) => runtime().and_then(|runtime| runtime.block_on(figures::run(wanted))),
        Role::Floor(options) => System::new().block_on(floor::serve(options)).map(|()| true),
        Role::Vendor(options) => System::new()
            .block_on(vendor::serve(options))
            .map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("the load failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

/// Tells the person who runs it.
fn say(line: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}
