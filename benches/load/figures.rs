//! What is measured, and in which order.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::arguments::{Wanted, What};
use crate::cluster::{Cluster, FLOOR, SERVICE};
use crate::process::Process;
use crate::service::Setup;
use crate::table::{Table, Target, median, milliseconds, rewrite};
use crate::turns::Part;
use crate::wrk::{FEW, Load, MANY, THREADS, Told};
use crate::{Failure, bulk, hooks, lasting, machine, say};

/// How many times as long verifies may take as the sends of their codes took.
const VERIFIES: u32 = 3;

/// Everything around a run.
pub(crate) struct World {
    pub(crate) wanted: Wanted,
    pub(crate) cluster: Cluster,
    pub(crate) setup: Setup,
    /// Answers at once.
    pub(crate) vendor: Process,
    pub(crate) directory: PathBuf,
    pub(crate) codes: PathBuf,
}

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Floor,
    Service,
}

impl Side {
    /// The database that its own are copied from.
    fn database(self) -> &'static str {
        match self {
            Self::Floor => FLOOR,
            Self::Service => SERVICE,
        }
    }

    pub(crate) fn send(self) -> &'static str {
        match self {
            Self::Floor => "/send",
            Self::Service => "/v1/otp/send",
        }
    }

    fn verify(self) -> &'static str {
        match self {
            Self::Floor => "/verify",
            Self::Service => "/v1/otp/verify",
        }
    }
}

/// Takes the figures that are wanted, and tells whether all reached their targets.
pub(crate) async fn run(wanted: Wanted) -> Result<bool, Failure> {
    // In memory: what is written here is no part of what is measured.
    let directory = PathBuf::from(format!("/dev/shm/otp-auth-load-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let cluster = Cluster::start().await?;
    let taken = tokio::select! {
        taken = take(wanted, &directory, cluster) => taken,
        signal = tokio::signal::ctrl_c() => Err(signal.map_or_else(Failure::from, |()| "stopped".into())),
    };
    fs::remove_dir_all(&directory)?;
    taken
}

async fn take(
    wanted: Wanted,
    directory: &std::path::Path,
    cluster: Cluster,
) -> Result<bool, Failure> {
    let codes = directory.join("codes");
    File::create(&codes)?;
    let vendor = vendor(0, &codes).await?;
    let setup =
        Setup::prepare(wanted.program.clone(), directory, (&cluster, &vendor.url())).await?;
    let world = World {
        wanted,
        cluster,
        setup,
        vendor,
        directory: directory.to_owned(),
        codes,
    };
    let mut table = Table::default();
    let machine = machine::describe(&world.cluster).await?;
    say(&machine);
    world.take(&mut table).await?;
    let text = format!("{}\n{machine}\n", table.markdown());
    say(&text);
    if let Some(file) = &world.wanted.markdown {
        rewrite(file, &text)?;
    }
    world.cluster.stop().await?;
    Ok(table.passes())
}

/// Starts a vendor.
pub(crate) async fn vendor(latency_ms: u64, codes: &std::path::Path) -> Result<Process, Failure> {
    let codes = codes.to_str().ok_or("no path")?;
    Process::role(&[
        "vendor",
        "--latency-ms",
        &latency_ms.to_string(),
        "--codes",
        codes,
    ])
    .await
}

impl World {
    async fn take(&self, table: &mut Table) -> Result<(), Failure> {
        let wants = |what| self.wanted.wants(what);
        if wants(What::Size) {
            let bytes = u32::try_from(fs::metadata(&self.wanted.program)?.len())?;
            let megabytes = f64::from(bytes) / 1e6;
            table.add(
                "release binary",
                (megabytes, "MB", Target::AtMost(20.0)),
                "",
            );
        }
        if wants(What::Start) {
            self.starts(table).await?;
        }
        if wants(What::Send) || wants(What::Latency) {
            self.sends(table).await?;
        }
        if wants(What::Verify) {
            self.verifies(table).await?;
        }
        if wants(What::Login) {
            self.logins(table).await?;
        }
        if wants(What::HookSeen) {
            hooks::seen(self, table).await?;
        }
        if wants(What::HookNew) {
            hooks::new(self, table).await?;
        }
        if wants(What::Cost) {
            lasting::cost(self, table).await?;
        }
        if wants(What::Memory) {
            lasting::memory(self, table).await?;
        }
        if wants(What::Replicas) {
            lasting::replicas(self, table).await?;
        }
        if wants(What::Full) {
            bulk::full(self, table).await?;
        }
        Ok(())
    }

    async fn starts(&self, table: &mut Table) -> Result<(), Failure> {
        let mut took = Vec::new();
        for _ in 0..self.wanted.runs {
            let database = self.cluster.url(SERVICE);
            let start = self.setup.time_start(&database, &self.vendor.url()).await?;
            took.push(milliseconds(start));
        }
        table.add(
            "cold start to the first 200",
            (median(took), "ms", Target::AtMost(150.0)),
            "",
        );
        Ok(())
    }

    async fn sends(&self, table: &mut Table) -> Result<(), Failure> {
        let send = async |server: &Process, side, part| self.send(server, side, part, 0).await;
        let name = ("sends/s", 0.75);
        let (floor, ours) = self.of_many_and_few(table, name, send, Told::rate).await?;
        if !self.wanted.wants(What::Latency) {
            return Ok(());
        }
        let pause = |rates| whole(f64::from(MANY) / (median(rates) / 2.0) * 1000.0);
        let pauses = (pause(floor), pause(ours));
        let send = async |server: &Process, side, part| {
            let pause = match side {
                Side::Floor => pauses.0,
                Side::Service => pauses.1,
            };
            self.send(server, side, part, pause).await
        };
        let (floor, ours) = self.runs_of_both(MANY, send).await?;
        let (floor, ours) = (floor.concat(), ours.concat());
        let p99 =
            |told: &[Told]| median(told.iter().map(|told| milliseconds(told.p99())).collect());
        let p50 =
            |told: &[Told]| median(told.iter().map(|told| milliseconds(told.p50())).collect());
        let details = format!(
            "floor {:.1} ms (median {:.1}), ours {:.1} ms (median {:.1})",
            p99(&floor),
            p50(&floor),
            p99(&ours),
            p50(&ours)
        );
        let times = p99(&ours) / p99(&floor);
        table.add(
            "p99 of a send at half the rate, as times the floor's",
            (times, "", Target::AtMost(3.0)),
            details,
        );
        Ok(())
    }

    /// Adds what there can be at most, and beside it, without a target, what few connections have. Returns the rates
    /// of many.
    async fn of_many_and_few(
        &self,
        table: &mut Table,
        (name, least): (&str, f64),
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
        tells: impl Fn(&Told) -> f64,
    ) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let (floor, ours) = self.rates(MANY, &load, &tells).await?;
        ratio(table, name, (&floor, &ours), Target::AtLeast(least));
        let few = self.rates(FEW, &load, &tells).await?;
        let name = format!("{name}, {FEW} connections");
        ratio(table, &name, (&few.0, &few.1), Target::None);
        Ok((floor, ours))
    }

    /// Sends, where each connection pauses so many milliseconds on average.
    pub(crate) async fn send(
        &self,
        server: &Process,
        side: Side,
        part: Part,
        pause: u32,
    ) -> Result<Told, Failure> {
        let options = [
            ("path", side.send().to_owned()),
            ("pause", pause.to_string()),
            ("start", part.start.to_string()),
        ];
        self.load(server, "send.lua", part, &options).await
    }

    async fn verifies(&self, table: &mut Table) -> Result<(), Failure> {
        let verify = async |server: &Process, side, part| self.verify(server, side, part).await;
        let (floor, ours) = self.rates(MANY, verify, Told::rate).await?;
        ratio(table, "verifies/s", (&floor, &ours), Target::AtLeast(0.90));
        Ok(())
    }

    /// Verifies the codes of so many seconds of sends.
    async fn verify(&self, server: &Process, side: Side, part: Part) -> Result<Told, Failure> {
        let keep = self.directory.to_str().ok_or("no path")?.to_owned();
        let codes = self.codes.to_str().ok_or("no path")?.to_owned();
        let kept = [
            ("path", side.send().to_owned()),
            ("keep", keep.clone()),
            ("codes", codes),
            ("start", part.start.to_string()),
        ];
        self.load(server, "send.lua", part, &kept).await?;
        let verify = [("path", side.verify().to_owned()), ("keep", keep)];
        let seconds = part.seconds * VERIFIES;
        self.load(server, "verify.lua", Part { seconds, ..part }, &verify)
            .await
    }

    async fn logins(&self, table: &mut Table) -> Result<(), Failure> {
        let login = async |server: &Process, side, part| self.login(server, side, part).await;
        let logins = |told: &Told| told.rate_of("logins");
        let name = ("complete logins/s", 0.85);
        self.of_many_and_few(table, name, login, logins).await?;
        Ok(())
    }

    /// Logs phones in.
    pub(crate) async fn login(
        &self,
        server: &Process,
        side: Side,
        part: Part,
    ) -> Result<Told, Failure> {
        let options = [
            ("send", side.send().to_owned()),
            ("verify", side.verify().to_owned()),
            ("codes", self.codes.to_str().ok_or("no path")?.to_owned()),
            ("start", part.start.to_string()),
        ];
        let told = self.load(server, "login.lua", part, &options).await?;
        if told.count("failed") > 0 {
            return Err(format!("{} calls failed", told.count("failed")).into());
        }
        Ok(told)
    }

    /// Starts one side over a new copy of its database.
    pub(crate) async fn start(&self, side: Side) -> Result<Process, Failure> {
        self.start_at(side, &self.vendor.url()).await
    }

    /// The same with another vendor.
    pub(crate) async fn start_at(&self, side: Side, vendor: &str) -> Result<Process, Failure> {
        let database = self.cluster.url(&self.cluster.copy(side.database()).await?);
        match side {
            Side::Floor => {
                let key = self.directory.join("key.pem");
                let key = key.to_str().ok_or("no path")?;
                Process::role(&[
                    "floor",
                    "--database",
                    &database,
                    "--vendor",
                    vendor,
                    "--key",
                    key,
                ])
                .await
            }
            Side::Service => self.setup.start(&database, vendor).await,
        }
    }

    /// One run of wrk; a call that is refused is no figure.
    pub(crate) async fn load(
        &self,
        server: &Process,
        script: &str,
        part: Part,
        options: &[(&str, String)],
    ) -> Result<Told, Failure> {
        let load = Load {
            script,
            url: &server.url(),
            connections: part.connections,
            threads: THREADS,
            seconds: part.seconds,
            options,
            ports: "",
        };
        let told = load.run().await?;
        // The last calls of a list may be one too many.
        if told.refused > u64::from(part.connections) || told.broken > 0 {
            let log = self.setup.last_words();
            return Err(format!("{script}: {told:?}\n{log}").into());
        }
        Ok(told)
    }
}

/// Adds the ratio of two medians.
pub(crate) fn ratio(
    table: &mut Table,
    name: &str,
    (floor, ours): (&[f64], &[f64]),
    target: Target,
) {
    let (floor, ours) = (median(floor.to_vec()), median(ours.to_vec()));
    let details = format!("{ours:.0} of {floor:.0}");
    table.add(name, (ours / floor, "", target), details);
}

fn whole(number: f64) -> u32 {
    format!("{number:.0}").parse().unwrap_or(0)
}
