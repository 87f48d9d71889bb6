use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::{Metrics, Names};

const PATIENCE: Duration = Duration::from_secs(1);

/// Doubles numbers, each time that it is let. Numbers of one ten want the same row; a hundred panics.
struct Doubling {
    begun: mpsc::UnboundedSender<Vec<u32>>,
    let_on: Arc<Semaphore>,
    rested: Arc<AtomicUsize>,
}

impl Errand for Doubling {
    type Item = u32;
    type Done = u32;

    fn alone(number: &u32) -> Vec<Vec<u8>> {
        vec![(number / 10).to_be_bytes().to_vec()]
    }

    fn goes_with(first: &u32, other: &u32) -> bool {
        (*first < 1000) == (*other < 1000)
    }

    async fn carry_out(&self, numbers: Vec<u32>) -> Vec<u32> {
        self.begun.send(numbers.clone()).unwrap();
        self.let_on.acquire().await.unwrap().forget();
        assert!(!numbers.contains(&100));
        numbers.iter().map(|number| number * 2).collect()
    }

    fn rest(&self) {
        self.rested.fetch_add(1, Ordering::Relaxed);
    }
}

struct World {
    seats: Arc<Seats>,
    group: Arc<Group<Doubling>>,
    begun: mpsc::UnboundedReceiver<Vec<u32>>,
    let_on: Arc<Semaphore>,
    rested: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let metrics = Metrics::new(Names::default()).unwrap();
        let seats = Seats::new(8, PATIENCE, Arc::new(metrics));
        let (sender, begun) = mpsc::unbounded_channel();
        let let_on = Arc::new(Semaphore::new(0));
        let rested = Arc::default();
        let doubling = Doubling {
            begun: sender,
            let_on: Arc::clone(&let_on),
            rested: Arc::clone(&rested),
        };
        let group = Group::new(doubling, Arc::clone(&seats), Class::Send);
        Self {
            seats,
            group,
            begun,
            let_on,
            rested,
        }
    }

    /// Somebody comes and waits.
    async fn comes(&self, number: u32) -> JoinHandle<Result<u32, NoSeat>> {
        let group = Arc::clone(&self.group);
        let before = self.group.state().number;
        let comes = tokio::spawn(async move { group.join(number).await });
        while self.group.state().number == before {
            tokio::task::yield_now().await;
        }
        comes
    }

    async fn next(&mut self) -> Vec<u32> {
        self.begun.recv().await.unwrap()
    }
}

#[tokio::test]
async fn whoever_comes_meanwhile_is_served_together_next() {
    let mut world = World::new();
    let first = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    let mut others = Vec::new();
    for number in [11, 21, 31] {
        others.push(world.comes(number).await);
    }
    assert_eq!(world.seats.taken(), 1);
    assert_eq!(world.seats.waiting(Class::Send), 3);
    assert_eq!(world.rested.load(Ordering::Relaxed), 0);

    world.let_on.add_permits(2);

    assert_eq!(first.await.unwrap(), Ok(2));
    assert_eq!(world.next().await, [11, 21, 31]);
    let doubled = join_all(others).await.into_iter().map(Result::unwrap);
    assert_eq!(doubled.collect::<Vec<_>>(), [Ok(22), Ok(42), Ok(62)]);
    while world.seats.taken() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.seats.waiting(Class::Send), 0);
}

#[tokio::test]
async fn what_is_kept_for_the_next_ones_is_given_back_when_there_are_none_before_the_seat_is() {
    let mut world = World::new();
    let first = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    let second = world.comes(11).await;
    world.let_on.add_permits(1);
    assert_eq!(world.next().await, [11]);
    assert_eq!(world.rested.load(Ordering::Relaxed), 0);
    assert_eq!(first.await.unwrap(), Ok(2));

    world.let_on.add_permits(1);

    assert_eq!(second.await.unwrap(), Ok(22));
    assert!(world.rested.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn who_waits_for_a_seat_keeps_nothing() {
    let mut world = World::new();
    let first = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    let _second = world.comes(11).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(world.seats.take(Class::Login).await.unwrap());
    }
    let login = tokio::spawn({
        let seats = Arc::clone(&world.seats);
        async move { seats.take(Class::Login).await }
    });
    while world.seats.taken() < 6 {
        tokio::task::yield_now().await;
    }

    world.let_on.add_permits(1);

    // His seat is another's now, who does not give it up.
    assert_eq!(first.await.unwrap(), Ok(2));
    let _login = login.await.unwrap().unwrap();
    while world.rested.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.begun.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn those_who_can_wait_are_gathered() {
    let (sender, mut begun) = mpsc::unbounded_channel();
    let doubling = Doubling {
        begun: sender,
        let_on: Arc::new(Semaphore::new(1)),
        rested: Arc::default(),
    };
    let gather = Duration::from_millis(5);
    let group = Group::finishing(doubling, gather);
    let before = Instant::now();

    let (first, second) = tokio::join!(group.join(1), group.join(11));

    assert_eq!((first, second), (Ok(2), Ok(22)));
    assert_eq!(begun.recv().await.unwrap(), [1, 11]);
    assert!(before.elapsed() >= gather);
}

#[tokio::test]
async fn two_that_want_the_same_row_are_not_served_together() {
    let mut world = World::new();
    let mut all = vec![world.comes(1).await];
    assert_eq!(world.next().await, [1]);
    for number in [11, 12, 21, 13, 1001] {
        all.push(world.comes(number).await);
    }

    world.let_on.add_permits(6);

    assert_eq!(world.next().await, [11, 21]);
    assert_eq!(world.next().await, [12]);
    assert_eq!(world.next().await, [13]);
    assert_eq!(world.next().await, [1001]);
    for one in all {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn no_more_than_the_most_are_served_together() {
    let mut world = World::new();
    let mut all = vec![world.comes(1).await];
    assert_eq!(world.next().await, [1]);
    for number in 1..=u32::try_from(MOST_TOGETHER).unwrap() + 1 {
        all.push(world.comes(1000 + number * 10).await);
    }

    world.let_on.add_permits(3);

    assert_eq!(world.next().await.len(), MOST_TOGETHER);
    assert_eq!(world.next().await.len(), 1);
    for one in all {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_too_long_is_told_to_come_back_and_who_is_being_served_is_not() {
    let mut world = World::new();
    let served = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    let waits = world.comes(11).await;

    // Time is simulated: it passes as soon as nothing else can happen.
    assert!(waits.await.unwrap().is_err());
    world.let_on.add_permits(1);

    assert_eq!(served.await.unwrap(), Ok(2));
    assert_eq!(world.group.state().waiting.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_queues_behind_one_who_has_waited_for_half_of_the_time() {
    let mut world = World::new();
    let _served = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    let _waits = world.comes(11).await;

    tokio::time::advance(PATIENCE / 2 + Duration::from_millis(1)).await;

    assert!(world.group.join(21).await.is_err());
}

#[tokio::test]
async fn nobody_queues_behind_too_many() {
    let mut world = World::new();
    let _served = world.comes(1).await;
    assert_eq!(world.next().await, [1]);
    for number in 0..u32::try_from(MOST_WAITING).unwrap() {
        drop(world.comes(number * 10).await);
    }

    assert!(world.group.join(7).await.is_err());
}

#[tokio::test]
async fn a_group_waits_for_a_seat() {
    let mut world = World::new();
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(world.seats.take(Class::Send).await.unwrap());
    }
    let comes = world.comes(1).await;
    assert_eq!(
        world.seats.waiting(Class::Send),
        2,
        "he, and who serves him"
    );
    assert!(world.begun.try_recv().is_err());

    taken.pop();
    world.let_on.add_permits(1);

    assert_eq!(comes.await.unwrap(), Ok(2));
    assert_eq!(world.next().await, [1]);
}

#[tokio::test]
async fn a_panic_ends_nothing_but_what_it_happened_in() {
    let mut world = World::new();
    let lost = world.comes(100).await;
    assert_eq!(world.next().await, [100]);

    world.let_on.add_permits(2);
    assert!(lost.await.unwrap().is_err());
    let next = world.comes(1).await;

    assert_eq!(next.await.unwrap(), Ok(2));
    assert_eq!(world.seats.taken(), 0);
}
