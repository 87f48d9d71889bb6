//! What is told of the database, and of what waits to be done in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Metrics;
use super::table::{
    ACQUIRE_DURATION, CONNECTIONS, CONNECTIONS_MAX, DATABASE_UP, QUEUE_ITEMS, QUEUE_OLDEST, READY,
    SHED, WAITING,
};

/// What waits in the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// What became of SMS and could not be recorded yet.
    Outcomes,
    /// Spending warnings that are being posted.
    Warnings,
}

impl Queue {
    const ALL: [Self; 2] = [Self::Outcomes, Self::Warnings];

    fn name(self) -> &'static str {
        match self {
            Self::Outcomes => "outcomes",
            Self::Warnings => "warnings",
        }
    }
}

/// Since when something has waited, by a running number.
type Waiting = BTreeMap<(Queue, u64), Instant>;

/// What waits, of all queues.
#[derive(Default)]
pub(super) struct Queues {
    waiting: Arc<Mutex<Waiting>>,
}

/// Something that waits until this is dropped.
#[must_use = "what is dropped at once does not wait"]
pub struct Queued {
    waiting: Arc<Mutex<Waiting>>,
    place: (Queue, u64),
}

impl Drop for Queued {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.place);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a connection pool is doing.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// Connections there are.
    pub size: u32,
    /// Connections that nobody uses.
    pub idle: u32,
    /// Connections there may be.
    pub most: u32,
}

impl Metrics {
    /// Makes the series of the others here.
    pub(super) fn begin_database(&self) {
        self.queue("deliveries", 0, Duration::ZERO);
        self.gauge(DATABASE_UP, &[]).set(0.0);
    }

    /// Counts something as waiting in a queue until the guard is dropped.
    pub fn queued(&self, queue: Queue) -> Queued {
        let mut waiting = lock(&self.queues.waiting);
        let last = waiting.range(..=(queue, u64::MAX)).next_back();
        let last = last.filter(|((of, _), _)| *of == queue);
        let place = (queue, last.map_or(0, |((_, number), _)| number + 1));
        waiting.insert(place, Instant::now());
        Queued {
            waiting: Arc::clone(&self.queues.waiting),
            place,
        }
    }

    /// Tells of what waits in memory.
    pub(super) fn tell_queues(&self) {
        for queue in Queue::ALL {
            let waiting = lock(&self.queues.waiting);
            let mine = waiting.iter().filter(|((of, _), _)| *of == queue);
            let (count, oldest) = mine.fold((0, Duration::ZERO), |(count, oldest), (_, since)| {
                (count + 1, oldest.max(since.elapsed()))
            });
            drop(waiting);
            self.queue(queue.name(), count, oldest);
        }
    }

    /// Tells how many deliveries are due in the database, and for how long.
    pub fn deliveries_due(&self, count: u32, oldest: Duration) {
        self.queue("deliveries", count, oldest);
    }

    fn queue(&self, queue: &'static str, count: u32, oldest: Duration) {
        let labels = [("queue", queue)];
        self.gauge(QUEUE_ITEMS, &labels).set(f64::from(count));
        self.gauge(QUEUE_OLDEST, &labels).set(oldest.as_secs_f64());
    }

    /// Tells how long a connection was waited for, and whether there was one.
    pub fn database_acquired(&self, took: Duration, is_there: bool) {
        let outcome = if is_there { "ok" } else { "failed" };
        self.histogram(ACQUIRE_DURATION, &[("outcome", outcome)])
            .record(took.as_secs_f64());
        self.tidy_now_and_then();
    }

    /// Counts calls that were told to come back.
    pub fn calls_shed(&self, class: &'static str, reason: &'static str, calls: u64) {
        let labels = [("class", class), ("reason", reason)];
        self.counter(SHED, &labels).increment(calls);
    }

    /// Tells how many calls wait for a seat.
    pub fn calls_waiting(&self, class: &'static str, calls: usize) {
        let calls = f64::from(u32::try_from(calls).unwrap_or(u32::MAX));
        self.gauge(WAITING, &[("class", class)]).set(calls);
    }

    /// Tells whether the database answered.
    pub fn database_up(&self, is_up: bool) {
        self.gauge(DATABASE_UP, &[])
            .set(if is_up { 1.0 } else { 0.0 });
    }

    /// Tells of the connections.
    pub fn connections(&self, connections: Connections) {
        let Connections { size, idle, most } = connections;
        let told = [("idle", idle), ("in_use", size.saturating_sub(idle))];
        for (state, count) in told {
            self.gauge(CONNECTIONS, &[("state", state)])
                .set(f64::from(count));
        }
        self.gauge(CONNECTIONS_MAX, &[]).set(f64::from(most));
    }

    /// Tells whether this replica is to be called.
    pub fn ready(&self, is_ready: bool) {
        self.gauge(READY, &[]).set(if is_ready { 1.0 } else { 0.0 });
    }
}
