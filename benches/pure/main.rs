//! How long the pure parts take: all that a call does without the database, the network or a file.
//!
//! ```text
//! ./test bench pure                                            all of it, and then the table in docs/performance.md
//! cargo bench --bench pure --features benching -- 'Phone'      what has that in its name, and no table
//! ```
//!
//! Criterion measures each operation again and again for three seconds, one after the other on one thread.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is not measured")]

mod calls;
mod limits;
mod people;
mod table;
mod tokens;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::{BatchSize, Bencher, Criterion};
use otp_auth::secrets::Keyring;
use secrecy::SecretBox;
use tokio::runtime::Builder;

use table::{Machine, Row};

/// Operations that belong together.
struct Group {
    name: &'static str,
    operations: Vec<Operation>,
}

struct Operation {
    name: &'static str,
    measure: Box<dyn FnMut(&mut Bencher<'_>)>,
}

impl Group {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            operations: Vec::new(),
        }
    }

    /// With an operation that can be done again and again.
    fn with<T>(self, name: &'static str, mut work: impl FnMut() -> T + 'static) -> Self {
        self.and(name, move |bencher| bencher.iter(&mut work))
    }

    /// With an operation that uses up what `made` makes, which is not measured.
    fn with_each<M, T>(
        self,
        name: &'static str,
        mut made: impl FnMut() -> M + 'static,
        mut work: impl FnMut(M) -> T + 'static,
    ) -> Self {
        self.and(name, move |bencher| {
            bencher.iter_batched(&mut made, &mut work, BatchSize::SmallInput);
        })
    }

    fn and(mut self, name: &'static str, measure: impl FnMut(&mut Bencher<'_>) + 'static) -> Self {
        let measure = Box::new(measure);
        self.operations.push(Operation { name, measure });
        self
    }
}

fn main() {
    // A pool and an HTTP client that are asked nothing want to be made inside of one.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap();
    let _inside = runtime.enter();
    let table = table_to_write();
    // Before there is any load of ours.
    let machine = Machine::look();
    let criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .nresamples(20_000);
    let mut criterion = match table {
        Some(_) => criterion,
        None => criterion.configure_from_args(),
    };
    let mut rows = Vec::new();
    let groups = [
        tokens::groups(),
        people::groups(),
        limits::groups(),
        calls::groups(),
    ];
    for group in groups.into_iter().flatten() {
        let mut measured = criterion.benchmark_group(group.name);
        for mut operation in group.operations {
            measured.bench_function(operation.name, |bencher| (operation.measure)(bencher));
            rows.push(Row {
                group: group.name,
                operation: operation.name,
            });
        }
        measured.finish();
    }
    if let Some(file) = table {
        table::write(&file, &machine, &rows);
    }
}

/// The file behind `--table`. Then everything is measured, for the ratios are those of one run.
fn table_to_write() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--table");
    arguments.next()?;
    Some(arguments.next().unwrap().into())
}

/// What lives as long as the program. Setups are few and small.
fn forever<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn keyring() -> &'static Keyring {
    forever(Keyring::derive(&SecretBox::new(Box::new([1; 32]))).unwrap())
}

/// So many seconds after some moment.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}
