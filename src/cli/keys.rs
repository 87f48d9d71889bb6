//! `otp-auth keys`: works on the database, and the replicas that run notice within a second.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use secrecy::zeroize::Zeroizing;

use crate::app::{self, Deps, StartError};
use crate::audit::{Remark, RemarkError};
use crate::clock::rfc3339;
use crate::config::Settings;
use crate::database::StoreError;
use crate::token::keys::{
    By, EARLY, Import, ImportError, Keeper, KeyError, ListedKey, Revocation, Rotation, State,
};

/// Sessions that are asked for at a time; our own figure.
const PAGE: i64 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Shows every key: where it stands, what happens to it when, and which verifier has seen it.
    List,
    /// Makes the next key, unless there is one, and lets it sign as soon as it has been published for
    /// `tokens.publish_ahead_seconds`.
    Rotate {
        /// Lets it sign at once: whoever has a cached JWKS refuses its tokens for some minutes.
        #[arg(long)]
        now: bool,
        /// Why, for the audit log.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Takes a key out of use at once, and tells whose tokens that ends.
    Revoke {
        /// The key, as `list` names it. One in 64 thumbprints begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Only tells what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Tells the sessions too, one a line: sub, sid, client, expiry.
        #[arg(long)]
        list: bool,
        /// Why, for the audit log.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Makes a private key from a PEM or JWK file the next one.
    Import {
        /// The file.
        file: PathBuf,
        /// Its name in tokens and the JWKS, instead of the one in the file or the thumbprint.
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
        /// Lets it sign at once: whoever has a cached JWKS refuses its tokens for some minutes.
        #[arg(long)]
        now: bool,
        /// Why, for the audit log.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// A command on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The database cannot be reached, or the master key is not usable.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The keys could not be changed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keys could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read.
    #[error("{0} cannot be read")]
    Read(PathBuf, #[source] io::Error),
    /// The file's key cannot be imported.
    #[error("{0} is not imported")]
    Import(PathBuf, #[source] ImportError),
    /// The reason is none.
    #[error("--reason {0}")]
    Reason(#[from] RemarkError),
    /// Nothing could be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a command, and tells what it did.
pub(super) async fn run(
    command: KeysCommand,
    settings: &Settings,
    deps: &Deps,
    out: &mut impl Write,
) -> Result<(), KeysError> {
    let keeper = app::keeper(settings, deps).await?;
    match command {
        KeysCommand::List => list(&keeper.list().await?, &settings.tokens.verifiers, out)?,
        KeysCommand::Rotate { now, reason } => {
            let reason = remark(reason.as_deref())?;
            let rotation = keeper.rotate(now, by(reason.as_ref())).await?;
            tell_rotation(&rotation, out)?;
        }
        KeysCommand::Revoke {
            kid,
            dry_run,
            list,
            reason,
        } => {
            let reason = remark(reason.as_deref())?;
            let revocation = keeper.revoke(&kid, dry_run, by(reason.as_ref())).await?;
            tell_revocation(&kid, &revocation, dry_run, out)?;
            if list {
                list_sessions(&keeper, &kid, out).await?;
            }
        }
        KeysCommand::Import {
            file,
            kid,
            now,
            reason,
        } => {
            let reason = remark(reason.as_deref())?;
            let bytes = match std::fs::read(&file) {
                Ok(bytes) => Zeroizing::new(bytes),
                Err(error) => return Err(KeysError::Read(file, error)),
            };
            let import = match Import::read(&bytes, kid.as_deref()) {
                Ok(import) => import,
                Err(error) => return Err(KeysError::Import(file, error)),
            };
            let rotation = keeper.import(import, now, by(reason.as_ref())).await?;
            tell_rotation(&rotation, out)?;
        }
    }
    keeper.pool.close().await;
    Ok(())
}

fn by(reason: Option<&Remark>) -> By<'_> {
    By::Operator {
        id: None,
        reason,
        trace_id: None,
    }
}

fn remark(reason: Option<&str>) -> Result<Option<Remark>, RemarkError> {
    reason.map(Remark::parse).transpose()
}

fn list(keys: &[ListedKey], verifiers: &BTreeSet<String>, out: &mut impl Write) -> io::Result<()> {
    for key in keys {
        let record = &key.record;
        writeln!(out, "{}", record.kid)?;
        let (algorithm, state) = (record.algorithm.name(), record.state.name());
        writeln!(out, "  {algorithm}, {state}")?;
        for (what, time) in [
            ("created", Some(record.created_at)),
            ("signs from", record.promote_at),
            ("signs since", record.active_at),
            ("signed until", record.retired_at),
            ("gone at", record.gone_at),
        ] {
            if let Some(time) = time {
                writeln!(out, "  {what} {}", rfc3339(time))?;
            }
        }
        for seen in &key.seen {
            let (first, last) = (rfc3339(seen.first_seen_at), rfc3339(seen.last_seen_at));
            writeln!(out, "  seen by {}: {first} to {last}", seen.verifier)?;
        }
        let has_seen = |name: &String| key.seen.iter().any(|seen| seen.verifier == *name);
        for name in verifiers.iter().filter(|name| !has_seen(name)) {
            writeln!(out, "  not seen by {name}")?;
        }
    }
    Ok(())
}

fn tell_rotation(rotation: &Rotation, out: &mut impl Write) -> io::Result<()> {
    let (kid, algorithm) = (&rotation.kid, rotation.algorithm.name());
    match rotation.promote_at {
        Some(at) => writeln!(out, "{kid} ({algorithm}) signs from {} on", rfc3339(at)),
        None => writeln!(out, "{kid} ({algorithm}) signs now"),
    }?;
    if rotation.is_early {
        writeln!(out, "Warning: {EARLY}")?;
    }
    Ok(())
}

fn tell_revocation(
    kid: &str,
    revocation: &Revocation,
    dry_run: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let verb = if dry_run { "would be" } else { "is" };
    let was = revocation.state.name();
    writeln!(
        out,
        "{kid}, which {} {was}, {verb} revoked",
        if dry_run { "is" } else { "was" }
    )?;
    if revocation.state == State::Active {
        match &revocation.successor {
            Some(successor) if dry_run => writeln!(out, "{successor} would sign"),
            Some(successor) => writeln!(out, "{successor} signs now"),
            None => writeln!(out, "a new key would be made"),
        }?;
        if revocation.is_early {
            writeln!(out, "Warning: {EARLY}")?;
        }
    }
    if revocation.losses.is_empty() {
        return writeln!(out, "No token of it is alive");
    }
    writeln!(
        out,
        "Verifiers refuse its tokens once they fetch the JWKS again; the sessions live on, and get new \
         tokens for their refresh tokens:"
    )?;
    for lost in &revocation.losses {
        writeln!(
            out,
            "  {}: {} sessions of {} users, the last token until {}",
            lost.client_id,
            lost.sessions,
            lost.users,
            rfc3339(lost.latest_expiry)
        )?;
    }
    Ok(())
}

async fn list_sessions(keeper: &Keeper, kid: &str, out: &mut impl Write) -> Result<(), KeysError> {
    let mut after = None;
    loop {
        let page = keeper.lost_sessions(kid, after, PAGE).await?;
        for lost in &page {
            writeln!(
                out,
                "{}\t{}\t{}\t{}",
                lost.user_id,
                lost.session_id,
                lost.client_id,
                rfc3339(lost.expires_at)
            )?;
        }
        after = page.last().map(|last| last.session_id);
        if after.is_none() {
            return Ok(());
        }
    }
}
