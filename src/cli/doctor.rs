//! `otp-auth doctor`: checks a deployment, and tells by exit code whether anything failed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use url::Url;

use crate::app::Deps;
use crate::doctor::gateway::{Gateway, Way};
use crate::doctor::{self, DoctorError, Options, Sources};
use crate::telemetry::Chain;

/// Something failed.
const BAD: u8 = 1;
/// Nothing could be looked at; what clap ends with, too, where it does not understand.
const NOT_RUN: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Where keys and metadata are fetched, instead of at server.issuer: a replica behind another address.
    #[arg(long, value_name = "URL", value_parser = address)]
    issuer_url: Option<Url>,
    /// How many replicas there are to be, for the connections of the database.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    replicas: u32,
    /// Seconds that each check may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// A protected address behind a gateway, which is then shown good and bad tokens that name nobody. May
    /// be given several times.
    #[arg(long, value_name = "URL", value_parser = address)]
    gateway: Vec<Url>,
    /// How the gateway checks tokens.
    #[arg(long, value_enum, default_value = "forward-auth", requires = "gateway")]
    way: WayArgument,
    /// Who the tokens are for, if not for all audiences of the client.
    #[arg(long, requires = "gateway")]
    audience: Option<String>,
    /// Whose tokens they are, if not those of the first client with the audience.
    #[arg(long, value_name = "ID", requires = "gateway")]
    client: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WayArgument {
    /// It asks /v1/authorize.
    ForwardAuth,
    /// It has the keys of the JWKS.
    Jwks,
}

/// An address to call. One with a password would have it in the process list, and in what is printed.
fn address(text: &str) -> Result<Url, &'static str> {
    let Ok(url) = Url::parse(text) else {
        return Err("is not an address; write it like https://api.example.com/orders");
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password");
    }
    Ok(url)
}

impl DoctorArguments {
    fn options(&self) -> Options {
        let gateway = Gateway {
            urls: self.gateway.clone(),
            way: match self.way {
                WayArgument::ForwardAuth => Way::ForwardAuth,
                WayArgument::Jwks => Way::Jwks,
            },
            audience: self.audience.clone(),
            client: self.client.clone(),
        };
        Options {
            issuer_url: self.issuer_url.clone(),
            gateway: (!self.gateway.is_empty()).then_some(gateway),
            replicas: self.replicas,
            deadline: Duration::from_secs(self.timeout),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotRun {
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    #[error("the report cannot be written")]
    Write(#[from] io::Error),
}

/// Looks, and tells.
pub(super) async fn run(
    arguments: &DoctorArguments,
    sources: Sources<'_>,
    deps: &Deps,
    out: &mut impl Write,
    complaints: &mut impl Write,
) -> ExitCode {
    match look(arguments, sources, deps, out).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD),
        Err(error) => {
            // There is nobody left to tell if this fails.
            let _ = writeln!(complaints, "otp-auth: {}", Chain(&error));
            ExitCode::from(NOT_RUN)
        }
    }
}

async fn look(
    arguments: &DoctorArguments,
    sources: Sources<'_>,
    deps: &Deps,
    out: &mut impl Write,
) -> Result<bool, NotRun> {
    let report = doctor::run(&arguments.options(), sources, deps).await?;
    let text = if arguments.json {
        report.json()
    } else {
        report.text()
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(report.is_good())
}
