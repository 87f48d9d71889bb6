//! Calls that share a seat: while one statement is under way those who want the same wait, and the next one does
//! it for all of them.
//!
//! A row that many calls change stays locked until the commit that changed it is on the disk. One by one, that is
//! a wait for the disk each; together it is one for all of them. Nobody waits for others to come, unless nobody
//! waits for it to be done ([`Group::finishing`]): whoever comes while nothing is under way is served at once.
//!
//! Invariants:
//! - one [`Errand::carry_out`] of a group runs at a time, with a seat of its class;
//! - no two items of it want the same for themselves ([`Errand::alone`]); the later one waits for the next;
//! - whoever is being served is not told to come back; whoever waits is, by the rules of [`super`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::{Class, MOST_WAITING, NoSeat, Seat, Seats, Sharing, Shed};

/// Items of one errand at most. Our own figure: what 64 cost is about what a disk takes to write, so that more would
/// make each wait longer and save little.
pub const MOST_TOGETHER: usize = 64;

/// What is done for several calls at once.
pub trait Errand: Send + Sync + 'static {
    /// What one call wants.
    type Item: Send + 'static;
    /// What it gets.
    type Done: Send + 'static;

    /// What only one of those that are carried out together may want: rows, by their keys.
    fn alone(item: &Self::Item) -> Vec<Vec<u8>>;

    /// Whether an item may be carried out together with the first one.
    fn goes_with(first: &Self::Item, other: &Self::Item) -> bool;

    /// Does it for all of them: as many results, in their order.
    fn carry_out(&self, items: Vec<Self::Item>) -> impl Future<Output = Vec<Self::Done>> + Send;

    /// Nobody is carried out for a while: what was kept for the next ones is given back.
    fn rest(&self);
}

/// Calls that want the same.
pub struct Group<E: Errand> {
    errand: E,
    /// `None` for what must be finished: then nobody is told to come back.
    seats: Option<(Arc<Seats>, Class)>,
    /// How long the first one waits for others.
    gather: Duration,
    /// Where others are served from: the caller's own may end before they are.
    runtime: Handle,
    state: Mutex<State<E>>,
}

struct State<E: Errand> {
    is_led: bool,
    number: u64,
    waiting: VecDeque<Waiting<E>>,
}

struct Waiting<E: Errand> {
    number: u64,
    since: Instant,
    item: E::Item,
    done: oneshot::Sender<E::Done>,
    _counted: Option<Sharing>,
}

impl<E: Errand> Group<E> {
    /// Those who wait for seats of a class. It is made within the runtime that serves them.
    pub fn new(errand: E, seats: Arc<Seats>, class: Class) -> Arc<Self> {
        Self::with(errand, Some((seats, class)), Duration::ZERO)
    }

    /// Those who need none, since what they do must be finished, and can wait until some have gathered.
    pub fn finishing(errand: E, gather: Duration) -> Arc<Self> {
        Self::with(errand, None, gather)
    }

    fn with(errand: E, seats: Option<(Arc<Seats>, Class)>, gather: Duration) -> Arc<Self> {
        let state = State {
            is_led: false,
            number: 0,
            waiting: VecDeque::new(),
        };
        Arc::new(Self {
            errand,
            seats,
            gather,
            runtime: Handle::current(),
            state: Mutex::new(state),
        })
    }

    /// Has it done, with what others want at the same time.
    pub async fn join(self: &Arc<Self>, item: E::Item) -> Result<E::Done, NoSeat> {
        let (number, mut done) = match self.enter(item) {
            Ok(entered) => entered,
            Err(shed) => return Err(self.shed(shed)),
        };
        let served = match &self.seats {
            None => done.await,
            Some((seats, _)) => match timeout(seats.patience, &mut done).await {
                Ok(served) => served,
                Err(_) if self.leaves(number) => return Err(self.shed(Shed::Late)),
                Err(_) => done.await,
            },
        };
        served.map_err(|lost| {
            tracing::error!(error = %lost, "calls that were served together got no answer");
            self.shed(Shed::Late)
        })
    }

    /// A place among those who wait, and somebody who serves them.
    fn enter(self: &Arc<Self>, item: E::Item) -> Result<(u64, oneshot::Receiver<E::Done>), Shed> {
        let mut state = self.state();
        if let Some((seats, _)) = &self.seats {
            let first = state.waiting.front().map(|first| first.since.elapsed());
            if state.waiting.len() >= MOST_WAITING {
                return Err(Shed::Full);
            }
            if first.is_some_and(|waited| waited > seats.patience / 2) {
                return Err(Shed::Slow);
            }
        }
        let seats = self.seats.as_ref();
        let counted = seats.map(|(seats, class)| seats.sharing(*class));
        let (served, done) = oneshot::channel();
        state.number += 1;
        let number = state.number;
        state.waiting.push_back(Waiting {
            number,
            since: Instant::now(),
            item,
            done: served,
            _counted: counted,
        });
        if !state.is_led {
            state.is_led = true;
            // Not the caller: he may hang up while others depend on it.
            let leader = Leader {
                group: Arc::clone(self),
                is_cut_short: true,
            };
            self.runtime.spawn(leader.lead());
        }
        Ok((number, done))
    }

    /// Whether one who waits could leave; nobody who is being served can.
    fn leaves(&self, number: u64) -> bool {
        let mut state = self.state();
        let place = state.waiting.iter().position(|one| one.number == number);
        place
            .and_then(|place| state.waiting.remove(place))
            .is_some()
    }

    async fn seat(&self, seats: &Arc<Seats>, class: Class) -> Seat {
        if let Some(seat) = seats.take_now(class) {
            return seat;
        }
        // Who waits for a seat has no right to a connection.
        self.errand.rest();
        seats.wait(class).await
    }

    fn shed(&self, why: Shed) -> NoSeat {
        match &self.seats {
            Some((seats, class)) => seats.shed(*class, why),
            None => NoSeat {
                retry_after: super::SHORTLY,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Errand> State<E> {
    /// Those who are served next, in the order in which they came.
    fn next(&mut self) -> Vec<Waiting<E>> {
        let mut taken: Vec<Waiting<E>> = Vec::new();
        let mut wanted = BTreeSet::new();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        while let Some(one) = self.waiting.pop_front() {
            let alone = E::alone(&one.item);
            let fits = taken.len() < MOST_TOGETHER
                && taken
                    .first()
                    .is_none_or(|first| E::goes_with(&first.item, &one.item))
                && !alone.iter().any(|row| wanted.contains(row));
            if one.done.is_closed() {
                // He hung up.
            } else if fits {
                wanted.extend(alone);
                taken.push(one);
            } else {
                left.push_back(one);
            }
        }
        self.waiting = left;
        taken
    }
}

/// Serves a group as long as somebody waits. Whoever comes after it was cut short starts another one.
struct Leader<E: Errand> {
    group: Arc<Group<E>>,
    is_cut_short: bool,
}

impl<E: Errand> Drop for Leader<E> {
    fn drop(&mut self) {
        if self.is_cut_short {
            self.group.state().is_led = false;
        }
        self.group.errand.rest();
    }
}

impl<E: Errand> Leader<E> {
    async fn lead(mut self) {
        while self.somebody_waits() {
            let group = &self.group;
            let seat = match &group.seats {
                Some((seats, class)) => Some(group.seat(seats, *class).await),
                None => None,
            };
            if !group.gather.is_zero() && group.state().waiting.len() < MOST_TOGETHER {
                sleep(group.gather).await;
            }
            let taken = group.state().next();
            if taken.is_empty() {
                continue;
            }
            let served = taken.into_iter().map(|one| (one.item, one.done));
            let (items, waiting): (Vec<_>, Vec<_>) = served.unzip();
            let done = group.errand.carry_out(items).await;
            if group.state().waiting.is_empty() {
                group.errand.rest();
            }
            drop(seat);
            for (done, waiting) in done.into_iter().zip(waiting) {
                // Who left meanwhile does not want it.
                drop(waiting.send(done));
            }
        }
    }

    /// Otherwise the next one who comes starts another leader.
    fn somebody_waits(&mut self) -> bool {
        let mut state = self.group.state();
        let waits = !state.waiting.is_empty();
        state.is_led = waits;
        self.is_cut_short = waits;
        waits
    }
}
