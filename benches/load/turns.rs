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
}

impl Part {
    /// Before anything is measured.
    pub(crate) const BEFORE: Self = Self {
        seconds: 1,
        start: 900_000_000,
    };
}

impl World {
    /// What each side has in each of the runs, on average of its seconds.
    pub(crate) async fn rates(
        &self,
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
        tells: impl Fn(&Told) -> f64,
    ) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.wanted.runs {
            let told = self.of_both(&load).await?;
            floor.push(mean(&told.0, &tells));
            ours.push(mean(&told.1, &tells));
        }
        Ok((floor, ours))
    }

    /// One run: what is told of each of its seconds. Who is first changes from second to second.
    pub(crate) async fn of_both(
        &self,
        load: impl AsyncFn(&Process, Side, Part) -> Result<Told, Failure>,
    ) -> Result<(Vec<Told>, Vec<Told>), Failure> {
        let (floor, ours) = (
            self.start(Side::Floor).await?,
            self.start(Side::Service).await?,
        );
        let of_floor = async |part| load(&floor, Side::Floor, part).await;
        let of_ours = async |part| load(&ours, Side::Service, part).await;
        of_floor(Part::BEFORE).await?;
        of_ours(Part::BEFORE).await?;
        let (mut floors, mut all_ours) = (Vec::new(), Vec::new());
        for second in 0..self.wanted.seconds {
            let part = Part {
                seconds: 1,
                start: second * PHONES,
            };
            if second % 2 == 0 {
                floors.push(of_floor(part).await?);
                all_ours.push(of_ours(part).await?);
            } else {
                all_ours.push(of_ours(part).await?);
                floors.push(of_floor(part).await?);
            }
        }
        floor.end().await?;
        ours.end().await?;
        Ok((floors, all_ours))
    }

    /// A figure of each side, as often as is wanted, by turns: what the machine does meanwhile meets both.
    pub(crate) async fn in_turns<T>(
        &self,
        take: impl AsyncFn(Side) -> Result<T, Failure>,
    ) -> Result<(Vec<T>, Vec<T>), Failure> {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.wanted.runs {
            floor.push(take(Side::Floor).await?);
            ours.push(take(Side::Service).await?);
        }
        Ok((floor, ours))
    }
}
