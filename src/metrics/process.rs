//! What the kernel tells of this process, under the names that every Prometheus client uses.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo as _};

use super::table::{CPU, MAX_FDS, OPEN_FDS, RESIDENT, START_TIME, VIRTUAL};
use super::text::{self, Decimal};

/// Writes it; nothing where the kernel does not tell.
pub(super) fn write(out: &mut String) {
    match read() {
        Ok(samples) => {
            for (name, value) in samples {
                text::write(out, name, [([], value)]);
            }
        }
        Err(error) => tracing::debug!(%error, "the kernel does not tell of this process"),
    }
}

fn read() -> ProcResult<Vec<(&'static str, Decimal)>> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let per_second = procfs::ticks_per_second();
    let started = Decimal::seconds(stat.starttime, per_second).plus(procfs::boot_time_secs()?);
    let descriptors = u64::try_from(process.fd_count()?).unwrap_or(u64::MAX);
    let mut samples = vec![
        (CPU, Decimal::seconds(stat.utime + stat.stime, per_second)),
        (RESIDENT, stat.rss_bytes().get().into()),
        (VIRTUAL, stat.vsize.into()),
        (OPEN_FDS, descriptors.into()),
        (START_TIME, started),
    ];
    if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
        samples.push((MAX_FDS, most.into()));
    }
    Ok(samples)
}
