//! Simulated time: whoever acts at the same second acts at once, and the clock moves on when all of
//! them are answered.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::Failure;
use crate::world::World;

/// Calls under way at once: enough to keep every replica busy.
const AT_ONCE: usize = 24;

/// Who acts when.
pub(crate) struct Queue<A> {
    /// Times are rounded up to so many seconds, so that more calls meet.
    tick: i64,
    added: u64,
    waiting: BTreeMap<(DateTime<Utc>, u64), A>,
}

impl<A> Queue<A> {
    pub(crate) fn new(tick: i64) -> Self {
        Self {
            tick: tick.max(1),
            added: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Adds somebody who acts at this time.
    pub(crate) fn push(&mut self, at: DateTime<Utc>, actor: A) {
        let late = at.timestamp().rem_euclid(self.tick);
        let rounding = if late == 0 { 0 } else { self.tick - late };
        let at = at + TimeDelta::seconds(rounding);
        self.waiting.insert((at, self.added), actor);
        self.added += 1;
    }

    /// Takes those who act next.
    fn pop(&mut self) -> Option<(DateTime<Utc>, Vec<A>)> {
        let ((at, _), first) = self.waiting.pop_first()?;
        let mut actors = vec![first];
        while let Some(next) = self.waiting.first_entry() {
            if next.key().0 > at {
                break;
            }
            actors.push(next.remove());
        }
        Some((at, actors))
    }
}

/// Lets everybody act until nobody is left or the time is over. An actor says in how many seconds it
/// acts again.
pub(crate) async fn run<A>(
    world: &World,
    mut queue: Queue<A>,
    end: DateTime<Utc>,
    act: impl AsyncFn(A) -> Result<Option<(i64, A)>, Failure>,
) -> Result<(), Failure> {
    while let Some((now, actors)) = queue.pop() {
        if now >= end {
            break;
        }
        world.clock.set(now);
        let again: Vec<_> = stream::iter(actors)
            .map(|actor| act(actor))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        world.inbox.read();
        for (seconds, actor) in again.into_iter().flatten() {
            queue.push(now + TimeDelta::seconds(seconds), actor);
        }
    }
    Ok(())
}

/// Makes calls at the same instant and collects their answers.
pub(crate) async fn at_once<T>(
    calls: impl IntoIterator<Item = impl Future<Output = Result<T, Failure>>>,
) -> Result<Vec<T>, Failure> {
    futures_util::future::try_join_all(calls).await
}
