//! What a start needs time for, and not the database: it is made on a thread of its own while the database is
//! asked.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::{StartError, told, vendors};
use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::phone;
use crate::provider::Vendor;

/// It.
pub(super) struct Early {
    /// Made first: a recorder measures the processor's clock, for up to 200 ms on a busy machine.
    pub(super) metrics: Arc<Metrics>,
    /// Reads the certificates that this machine trusts, which takes some 15 ms.
    pub(super) vendor: Box<dyn Vendor>,
}

/// Begins to make it.
pub(super) fn begin(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> JoinHandle<Result<Early, StartError>> {
    let names = told::names(settings);
    let vendor = vendors::vendor(settings, clock);
    let phone = settings.phone.clone();
    spawn_blocking(move || {
        let metrics = Arc::new(told::metrics(names)?);
        phone::warm_up(&phone);
        let vendor = vendor()?;
        Ok(Early { metrics, vendor })
    })
}
