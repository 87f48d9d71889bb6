//! Measuring two by turns: what the machine does meanwhile is to meet both.
//!
//! A processor that others have a part of is a third faster in one second than in another. Where two are compared at
//! full speed, both are running, and each is called for a second while the other one rests.

use crate::Failure;
use crate::figures::{Side, World};
use crate::process::Process;
use crate::table::mean;
use crate::wrk::Told;

/// Phones that one second does not come to the end of.
const PHONES: u32 = 1_000_000;

/// A part of a run.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) seconds: u32,
    /// The number of the first phone.
    pub(crate) start: u32,
    /// Calls under way.
    pub(crate) connections: u32,
}

impl Part {
    /// Before anything is measured.
    pub(crate) const fn before(connections: u32) -> Self {
        Self {
            seconds: 1,
            start: 900_000_000,
            connections,
        }
    }

    /// One of the seconds that are measured, counted from zero.
    pub(crate) const fn second(second: u32, connections: u32) -> Self {
        Self {
            seconds: 1,
            start: second * PHONES,
            connections,
        }
    }
}

impl World {
    /// What each side has in each of the runs, on average of its seconds.
    pub(crate) async fn rates(
        &self,
        connections: u32,
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
        tells: impl Fn(&Told) -> f64,
    ) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let (floor, ours) = self.runs_of_both(connections, load).await?;
        let rates = |runs: Vec<Vec<Told>>| runs.iter().map(|told| mean(told, &tells)).collect();
        Ok((rates(floor), rates(ours)))
    }

    /// What is told of each second, by the runs.
    pub(crate) async fn runs_of_both(
        &self,
        connections: u32,
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
    ) -> Result<(Vec<Vec<Told>>, Vec<Vec<Told>>), Failure> {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.wanted.runs {
            let service = self.start(Side::Service).await?;
            let told = self.run_of_both(connections, service, &load).await?;
            floor.push(told.0);
            ours.push(told.1);
        }
        Ok((floor, ours))
    }

    /// One run, at whose end both servers end. Who is first changes from second to second.
    pub(crate) async fn run_of_both(
        &self,
        connections: u32,
        ours: Process,
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
    ) -> Result<(Vec<Told>, Vec<Told>), Failure> {
        let floor = self.start(Side::Floor).await?;
        let before = Part::before(connections);
        load(&floor, Side::Floor, before).await?;
        load(&ours, Side::Service, before).await?;
        let mut told = (Vec::new(), Vec::new());
        for second in 0..self.wanted.seconds {
            let part = Part::second(second, connections);
            let order = if second % 2 == 0 {
                [Side::Floor, Side::Service]
            } else {
                [Side::Service, Side::Floor]
            };
            for side in order {
                match side {
                    Side::Floor => told.0.push(load(&floor, side, part).await?),
                    Side::Service => told.1.push(load(&ours, side, part).await?),
                }
            }
        }
        floor.end().await?;
        ours.end().await?;
        Ok(told)
    }
}
