//! Measuring two by turns: what the machine does meanwhile is to meet both.
//!
//! A processor that others have a part of is a third faster in one second than in another. Where two are compared at
//! full speed, both are running, and each is called for a second while the other one rests.

use crate::Failure;
use crate::figures::{Side, World};
use crate::wrk::Told;

/// Phones that one second does not come to the end of.
const PHONES: u32 = 1_000_000;
/// Where those phones begin that are called before anything is measured.
pub(crate) const BEFORE: u32 = 900_000_000;

impl World {
    /// What is told of each second that is wanted, of two that are loaded for so many seconds, with phones from some
    /// number on. Who is first changes from second to second.
    pub(crate) async fn by_turns(
        &self,
        one: impl AsyncFn(u32, u32) -> Result<Told, Failure>,
        other: impl AsyncFn(u32, u32) -> Result<Told, Failure>,
    ) -> Result<(Vec<Told>, Vec<Told>), Failure> {
        one(1, BEFORE).await?;
        other(1, BEFORE).await?;
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for second in 0..self.wanted.seconds {
            let start = second * PHONES;
            if second % 2 == 0 {
                ones.push(one(1, start).await?);
                others.push(other(1, start).await?);
            } else {
                others.push(other(1, start).await?);
                ones.push(one(1, start).await?);
            }
        }
        Ok((ones, others))
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
