//! Seats at the database: who waits for one, and who is told to come back.
//!
//! A call takes a seat before its first statement, gives it up while the provider is called, and needs none
//! for what it must finish. There are fewer seats than connections, so that what needs none finds one.
//!
//! ```text
//! connections  |########|        as database.max_connections says, here 8
//! Login        |#######.|        verifies and refreshes, who wait before all others
//! Session      |######..|        what users and services do with tokens
//! Send         |#####...|        sends, resends and reports, who are told to come back first
//! ```
//!
//! Invariants:
//! - a call gets a seat if fewer are taken, by whomsoever, than its class may have seen taken;
//! - nobody waits while there is a seat for him, and of two who wait the one of the later class here goes
//!   first, of one class the one who came first;
//! - nobody waits for longer than for a connection, nor behind more than [`MOST_WAITING`] of his class, nor
//!   behind one who has waited for half of that time: whoever would be told to come back anyway, is at once.
//!
//! What needs no database takes no seat: the key set, the gateways' hook, the revocations, documents.

pub mod kept;
pub mod shared;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::metrics::Metrics;

/// How many wait at most, of each class. At a millisecond a call and 7 seats all are served within 150 ms, and
/// their bodies are 16 MiB at most.
pub const MOST_WAITING: usize = 1024;
/// What whoever gets no seat is told to wait: others have come back by then. Our own figure.
const SHORTLY: Duration = Duration::from_secs(1);
/// Pause of one who asks again for a seat, on behalf of others who wait for it. Our own figure.
const AGAIN: Duration = Duration::from_millis(10);

/// What a call is for. In the order in which they are told to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// To send a code, or to see how far it has come.
    Send,
    /// To list, look up or end sessions.
    Session,
    /// To log in with a code that was sent, or to stay logged in.
    Login,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Send, Self::Session, Self::Login];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Session => "session",
            Self::Login => "login",
        }
    }

    fn of<T>(self, all: &[T; 3]) -> &T {
        let [send, session, login] = all;
        match self {
            Self::Send => send,
            Self::Session => session,
            Self::Login => login,
        }
    }

    fn line(self, all: &mut [Line; 3]) -> &mut Line {
        let [send, session, login] = all;
        match self {
            Self::Send => send,
            Self::Session => session,
            Self::Login => login,
        }
    }
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// Too many wait.
    Full,
    /// Those who wait have waited for too long.
    Slow,
    /// There was none for as long as one may wait.
    Late,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Slow, Self::Late];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Slow => "slow",
            Self::Late => "late",
        }
    }
}

/// There is no seat: the caller is to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait for the database")]
pub struct NoSeat {
    /// In how long.
    pub retry_after: Duration,
}

/// The seats of a process.
pub struct Seats {
    room: Mutex<Room>,
    /// Those who wait for a seat that they share ([`shared`]), of each class in the order of [`Class::ALL`].
    sharing: [AtomicUsize; 3],
    patience: Duration,
    metrics: Arc<Metrics>,
}

struct Room {
    taken: usize,
    /// One for each class, in the order of [`Class::ALL`].
    lines: [Line; 3],
}

/// Those of a class.
struct Line {
    /// So many seats are taken when there is none for them.
    most: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    since: Instant,
    turn: oneshot::Sender<Seat>,
}

/// A seat, until it is dropped or given up.
#[must_use = "a seat that is dropped at once is none"]
pub struct Seat {
    seats: Arc<Seats>,
    class: Class,
    is_taken: bool,
}

impl Seat {
    fn of(seats: &Arc<Seats>, class: Class) -> Self {
        Self {
            seats: Arc::clone(seats),
            class,
            is_taken: true,
        }
    }

    /// Gives it up early.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.is_taken) {
            self.seats.left();
        }
    }

    /// Takes one of the same class again, for whoever gave his up.
    pub async fn retake(&mut self) -> Result<(), NoSeat> {
        if !self.is_taken {
            *self = self.seats.take(self.class).await?;
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Seats {
    /// For a pool of so many connections, for one of which a call waits so long.
    pub fn new(connections: u32, patience: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let part = (connections / 8).max(1);
        let but = |parts: usize| {
            connections
                .saturating_sub(part.saturating_mul(parts))
                .max(1)
        };
        for (class, why) in Class::ALL
            .into_iter()
            .flat_map(|class| Shed::ALL.map(|why| (class, why)))
        {
            metrics.calls_shed(class.name(), why.name(), 0);
        }
        // An eighth is kept from all, a quarter from all but logins, and three eighths from sends.
        let lines = [but(3), but(2), but(1)].map(|most| Line {
            most,
            waiting: VecDeque::new(),
        });
        Arc::new(Self {
            room: Mutex::new(Room { taken: 0, lines }),
            sharing: Default::default(),
            patience,
            metrics,
        })
    }

    /// Takes a seat, now or in a while.
    pub async fn take(self: &Arc<Self>, class: Class) -> Result<Seat, NoSeat> {
        let waits = match self.ask(class) {
            Ok(Ok(seat)) => return Ok(seat),
            Ok(Err(waits)) => waits,
            Err(shed) => return Err(self.shed(class, shed)),
        };
        // Whose turn it becomes just then gives the seat up as the receiver is dropped.
        match timeout(self.patience, waits).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(_)) | Err(_) => Err(self.shed(class, Shed::Late)),
        }
    }

    /// Takes one if it is to be had at once.
    fn take_now(self: &Arc<Self>, class: Class) -> Option<Seat> {
        self.room().take(class).then(|| Seat::of(self, class))
    }

    /// Waits for a seat on behalf of others, who look to their own patience.
    async fn wait(self: &Arc<Self>, class: Class) -> Seat {
        loop {
            match self.ask(class) {
                Ok(Ok(seat)) => return seat,
                Ok(Err(turn)) => {
                    if let Ok(seat) = turn.await {
                        return seat;
                    }
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// Counts one who waits for a seat to be shared, until the guard is dropped.
    fn sharing(self: &Arc<Self>, class: Class) -> Sharing {
        class.of(&self.sharing).fetch_add(1, Ordering::Relaxed);
        Sharing(Arc::clone(self), class)
    }

    /// A seat, or a place among those who wait.
    fn ask(self: &Arc<Self>, class: Class) -> Result<Result<Seat, oneshot::Receiver<Seat>>, Shed> {
        let mut room = self.room();
        if room.take(class) {
            return Ok(Ok(Seat::of(self, class)));
        }
        let line = class.line(&mut room.lines);
        let waiting = line.who_waits();
        if waiting.len() >= MOST_WAITING {
            return Err(Shed::Full);
        }
        let first = waiting.front().map(|first| first.since.elapsed());
        if first.is_some_and(|waited| waited > self.patience / 2) {
            return Err(Shed::Slow);
        }
        let (turn, waits) = oneshot::channel();
        let since = Instant::now();
        waiting.push_back(Waiting { since, turn });
        Ok(Err(waits))
    }

    /// Somebody gave up his seat: it is the next one's.
    fn left(self: &Arc<Self>) {
        let next = self.room().next();
        if let Some((class, next)) = next {
            // One who has left meanwhile gives it back, which comes here again.
            drop(next.turn.send(Seat::of(self, class)));
        }
    }

    fn shed(&self, class: Class, why: Shed) -> NoSeat {
        self.metrics.calls_shed(class.name(), why.name(), 1);
        NoSeat {
            retry_after: SHORTLY,
        }
    }

    /// Seats that are taken.
    pub fn taken(&self) -> usize {
        self.room().taken
    }

    /// How many wait, of a class.
    pub fn waiting(&self, class: Class) -> usize {
        let mut room = self.room();
        let in_line = class.line(&mut room.lines).who_waits().len();
        in_line + class.of(&self.sharing).load(Ordering::Relaxed)
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for a seat to be shared.
struct Sharing(Arc<Seats>, Class);

impl Drop for Sharing {
    fn drop(&mut self) {
        let Self(seats, class) = self;
        class.of(&seats.sharing).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Room {
    /// Whether one of this class gets a seat, which is taken then.
    fn take(&mut self, class: Class) -> bool {
        let is_free = self.taken < class.line(&mut self.lines).most;
        self.taken += usize::from(is_free);
        is_free
    }

    /// Takes back a seat; who may have it, for whom it is taken again.
    fn next(&mut self) -> Option<(Class, Waiting)> {
        self.taken -= 1;
        let next = Class::ALL.into_iter().rev().find_map(|class| {
            let line = class.line(&mut self.lines);
            if self.taken >= line.most {
                return None;
            }
            Some((class, line.who_waits().pop_front()?))
        });
        self.taken += usize::from(next.is_some());
        next
    }
}

impl Line {
    /// Without those who left. All wait for the same time, so whoever gave up first is the first.
    fn who_waits(&mut self) -> &mut VecDeque<Waiting> {
        while self
            .waiting
            .front()
            .is_some_and(|first| first.turn.is_closed())
        {
            self.waiting.pop_front();
        }
        &mut self.waiting
    }
}
