//! What operators decide: whom to block or let through, and the switches.
//!
//! ```text
//! admin API -> one transaction: count up the version, change, audit event
//!                 \-> every replica asks for the version each 300 ms, and reads all of it
//!                     again when it is another one -> Snapshot, looked up without the database
//! ```
//!
//! A change holds at the replica that made it before that answers, and at all others within a second.
//! While the database is away the last snapshot stays: nothing is sent without the database anyway.
//!
//! This module knows no HTTP, and says only what was decided; what follows from it is its callers'
//! business.

mod rule;
mod snapshot;
mod store;
pub mod switch;
pub mod target;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use uuid::Uuid;

use crate::audit::Remark;
use crate::database::StoreError;
use crate::operator::Change;
use crate::phone::PhoneNumber;
use crate::random::{self, Random};
use crate::secrets::{Keyring, Purpose, SealError};
use crate::telemetry::Chain;
pub use rule::{Listing, NewRule, Rule, Verdict};
use snapshot::{Decision, Snapshot};
use store::{Ban, NewRow, StoredRule};
pub use switch::Switches;
use switch::{Switch, SwitchState};
use target::{Kind, Target};

/// Pause between two looks at the version, half of it drawn anew each time: three looks fit in the
/// second within which a change must hold.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Rules could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The database failed, or a row there does not hold what this program writes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The value could not be sealed, or there was no randomness.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The rules and switches, one a process.
pub struct Rules {
    pool: PgPool,
    keyring: Arc<Keyring>,
    random: Arc<dyn Random>,
    snapshot: watch::Sender<Snapshot>,
    /// One refresh at a time, or an older snapshot could come after a newer one.
    refreshing: Mutex<()>,
}

impl Rules {
    /// Reads the rules over `startup`; later ones are read over `pool`.
    pub async fn load(
        startup: &PgPool,
        pool: PgPool,
        keyring: Arc<Keyring>,
        random: Arc<dyn Random>,
    ) -> Result<Self, RulesError> {
        let version = store::version(startup).await?;
        let snapshot = read(startup, &keyring, version).await?;
        Ok(Self {
            pool,
            keyring,
            random,
            snapshot: watch::Sender::new(snapshot),
            refreshing: Mutex::new(()),
        })
    }

    /// Refreshes every 300 ms or less until `stop` is done.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let look = async {
            let mut failed = false;
            loop {
                sleep(random::jittered(self.random.as_ref(), LOOK_EVERY)).await;
                let refreshed = self.refresh().await;
                // Told once an outage, not three times a second.
                if let Err(error) = &refreshed
                    && !failed
                {
                    tracing::warn!(error = %Chain(error), "rules not refreshed");
                }
                failed = refreshed.is_err();
            }
        };
        tokio::select! {
            () = stop => {}
            () = look => {}
        }
    }

    /// Reads all rules again if they changed.
    pub async fn refresh(&self) -> Result<(), RulesError> {
        let _turn = self.refreshing.lock().await;
        let version = store::version(&self.pool).await?;
        // A failover to a standby that lagged takes versions back: any other one is news.
        let is_news = self.snapshot.borrow().version != version;
        if is_news {
            let snapshot = read(&self.pool, &self.keyring, version).await?;
            self.snapshot.send_replace(snapshot);
        }
        Ok(())
    }

    /// What was decided about a phone: its own rule, else that of the longest prefix.
    pub fn phone(&self, phone: &PhoneNumber, now: DateTime<Utc>) -> Option<Verdict> {
        self.snapshot.borrow().phone(phone, now, &self.keyring)
    }

    /// Whether anything was decided about any phone.
    pub fn has_phone_rules(&self) -> bool {
        self.snapshot.borrow().has_phone_rules()
    }

    /// What was decided about an address: the rule of the smallest network around it. An IPv4-mapped
    /// IPv6 address is the IPv4 one.
    pub fn network(&self, address: IpAddr, now: DateTime<Utc>) -> Option<Verdict> {
        self.snapshot.borrow().network(address, now)
    }

    /// Which switches are on.
    pub fn switches(&self) -> Switches {
        self.snapshot.borrow().switches
    }

    /// Makes a rule, or replaces the one about the same thing. The rule, and whether it is new.
    pub async fn set(&self, new: NewRule, change: Change<'_>) -> Result<(Rule, bool), RulesError> {
        let random = self.random.as_ref();
        let id = random::uuid_v7(random, change.now).map_err(SealError::from)?;
        let (kind, plain) = (new.target.kind(), new.target.plain());
        // No name of a kind has a colon.
        let named = format!("{}:{}", kind.name(), plain.as_str());
        let key = self.keyring.lookup("rule", named.as_bytes());
        let sealed = self
            .keyring
            .seal(Purpose::Rule, &key, plain.as_bytes(), random)?;
        let banned = match (&new.target, new.verdict) {
            (Target::Phone(phone), Verdict::Block) => Some(Ban {
                phone: self.keyring.phone_index(phone),
                event: self.event(change)?,
            }),
            (Target::Phone(_) | Target::Prefix(_) | Target::Network(_), _) => None,
        };
        let row = NewRow {
            id,
            kind,
            value_key: &key,
            value_sealed: &sealed,
            verdict: new.verdict,
            reason: new.reason.as_str(),
            expires_at: new.expires_at,
            banned,
        };
        let kept = store::set(&self.pool, row, change, self.event(change)?).await?;
        self.refresh().await?;
        let is_new = kept.id == id;
        Ok((opened(&self.keyring, kept)?, is_new))
    }

    /// Takes a rule away; whether there was one.
    pub async fn remove(&self, id: Uuid, change: Change<'_>) -> Result<bool, RulesError> {
        let removed = store::remove(&self.pool, id, change, self.event(change)?).await?;
        self.refresh().await?;
        Ok(removed)
    }

    /// Some rules, the newest first, also those that ended.
    pub async fn list(&self, listing: Listing) -> Result<Vec<Rule>, RulesError> {
        let rows = store::list(&self.pool, listing).await?;
        let rules = rows.into_iter().map(|row| opened(&self.keyring, row));
        Ok(rules.collect::<Result<_, StoreError>>()?)
    }

    /// One rule.
    pub async fn find(&self, id: Uuid) -> Result<Option<Rule>, RulesError> {
        let row = store::find(&self.pool, id).await?;
        Ok(row.map(|row| opened(&self.keyring, row)).transpose()?)
    }

    /// Where a switch stands, as the database tells.
    pub async fn switch(&self, switch: Switch) -> Result<SwitchState, RulesError> {
        Ok(store::switch(&self.pool, switch).await?)
    }

    /// Turns a switch on or off, and tells where it stands then.
    pub async fn set_switch(
        &self,
        switch: Switch,
        on: bool,
        reason: &Remark,
        change: Change<'_>,
    ) -> Result<SwitchState, RulesError> {
        let event = self.event(change)?;
        store::set_switch(&self.pool, switch, on, reason.as_str(), change, event).await?;
        self.refresh().await?;
        Ok(SwitchState {
            on,
            reason: Some(reason.as_str().to_owned()),
            changed_at: Some(change.now),
        })
    }

    /// The id of the audit event of a change.
    fn event(&self, change: Change<'_>) -> Result<Uuid, SealError> {
        Ok(random::uuid_v7(self.random.as_ref(), change.now)?)
    }
}

/// All there is. Rows are read after the version: they may be newer, which the next look mends, but
/// never older.
async fn read(pool: &PgPool, keyring: &Keyring, version: i64) -> Result<Snapshot, StoreError> {
    let switches = Switches {
        kill: store::switch(pool, Switch::Kill).await?.on,
        emergency: store::switch(pool, Switch::Emergency).await?.on,
    };
    let mut snapshot = Snapshot::new(version, switches);
    for row in store::rules(pool).await? {
        let rule = opened(keyring, row)?;
        let decision = Decision {
            verdict: rule.verdict,
            expires_at: rule.expires_at,
        };
        snapshot.insert(rule.target, decision, keyring);
    }
    Ok(snapshot)
}

fn opened(keyring: &Keyring, row: StoredRule) -> Result<Rule, StoreError> {
    let target = Kind::parse(&row.kind).and_then(|kind| {
        let opened = keyring.open(Purpose::Rule, &row.value_key, &row.value_sealed);
        Target::from_plain(kind, std::str::from_utf8(&opened.ok()?).ok()?)
    });
    Ok(Rule {
        id: row.id,
        target: target.ok_or(StoreError::Corrupt("value of a rule"))?,
        verdict: Verdict::parse(&row.verdict).ok_or(StoreError::Corrupt("verdict"))?,
        reason: row.reason,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}
