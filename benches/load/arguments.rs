//! What is told on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "load")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) role: Role,
}

#[derive(Subcommand)]
pub(crate) enum Role {
    /// Takes the figures.
    Run(Wanted),
    /// The floor, as a process of its own.
    Floor(FloorOptions),
    /// The vendor, as a process of its own.
    Vendor(VendorOptions),
}

#[derive(Args, Clone)]
pub(crate) struct Wanted {
    /// The service: an optimized build.
    #[arg(long, default_value = "target/release/otp-auth")]
    pub(crate) program: PathBuf,
    /// How often each is measured, in turns with its floor.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) runs: u32,
    /// For how long, each time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<What>,
    /// Rewrites the table between the markers in this file.
    #[arg(long)]
    pub(crate) markdown: Option<PathBuf>,
}

/// A figure, or some that are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    Size,
    Start,
    Send,
    Verify,
    Login,
    HookSeen,
    HookNew,
    Latency,
    Cost,
    Memory,
    Full,
    Replicas,
}

impl Wanted {
    pub(crate) fn wants(&self, what: What) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }
}

#[derive(Args)]
pub(crate) struct FloorOptions {
    #[arg(long)]
    pub(crate) database: String,
    /// The vendor's address.
    #[arg(long)]
    pub(crate) vendor: String,
    /// Signs its tokens, and those that it checks: a PEM file.
    #[arg(long)]
    pub(crate) key: PathBuf,
}

#[derive(Args)]
pub(crate) struct VendorOptions {
    /// Milliseconds that it takes to answer.
    #[arg(long)]
    pub(crate) latency_ms: u64,
    /// Where it leaves the codes.
    #[arg(long)]
    pub(crate) codes: PathBuf,
}
