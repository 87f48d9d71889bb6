use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;

use super::*;
use crate::metrics::Names;

const PATIENCE: Duration = Duration::from_secs(1);

fn seats(connections: u32) -> Arc<Seats> {
    patient(connections, PATIENCE)
}

fn patient(connections: u32, patience: Duration) -> Arc<Seats> {
    let metrics = Metrics::new(Names::default()).unwrap();
    Seats::new(connections, patience, Arc::new(metrics))
}

/// How far somebody has come who is asked now.
fn look<F: Future>(of: Pin<&mut F>) -> Poll<F::Output> {
    of.poll(&mut Context::from_waker(Waker::noop()))
}

/// Takes seats until there is none for the class; nobody else is there.
fn fill(seats: &Arc<Seats>, class: Class) -> Vec<Seat> {
    let mut taken = Vec::new();
    loop {
        let mut next = pin!(seats.take(class));
        match look(next.as_mut()) {
            Poll::Ready(seat) => taken.push(seat.unwrap()),
            Poll::Pending => return taken,
        }
    }
}

#[tokio::test]
async fn each_class_leaves_room_for_those_after_it_and_all_for_what_needs_no_seat() {
    for (connections, most) in [
        (1, [1, 1, 1]),
        (2, [1, 1, 1]),
        (3, [1, 1, 2]),
        (4, [1, 2, 3]),
        (8, [5, 6, 7]),
        (16, [10, 12, 14]),
        (1000, [625, 750, 875]),
    ] {
        for (class, most) in Class::ALL.into_iter().zip(most) {
            let seats = seats(connections);
            let taken = fill(&seats, class);
            assert_eq!(taken.len(), most, "{class:?} of {connections}");
        }
    }
}

#[tokio::test]
async fn a_login_finds_a_seat_where_sends_do_not() {
    let seats = seats(8);
    let sends = fill(&seats, Class::Send);
    let sessions = fill(&seats, Class::Session);
    let logins = fill(&seats, Class::Login);

    assert_eq!([sends.len(), sessions.len(), logins.len()], [5, 1, 1]);
    assert_eq!(seats.taken(), 7);
}

#[tokio::test]
async fn a_seat_goes_to_a_login_first_and_to_a_send_only_once_it_is_one_for_sends() {
    let seats = seats(8);
    let mut taken = fill(&seats, Class::Login);
    let mut send = pin!(seats.take(Class::Send));
    let mut login = pin!(seats.take(Class::Login));
    assert!(look(send.as_mut()).is_pending() && look(login.as_mut()).is_pending());

    taken.pop();
    let login = look(login.as_mut());
    let Poll::Ready(Ok(_login)) = login else {
        panic!("the login still waits");
    };
    taken.pop();
    taken.pop();
    assert!(look(send.as_mut()).is_pending(), "5 seats are taken");
    taken.pop();
    assert!(look(send.as_mut()).is_ready(), "4 seats are taken");
}

#[tokio::test]
async fn of_one_class_the_first_to_come_is_the_first_to_go() {
    let seats = seats(1);
    let mut seat = seats.take(Class::Send).await.unwrap();
    let mut first = pin!(seats.take(Class::Send));
    let mut second = pin!(seats.take(Class::Send));
    assert!(look(first.as_mut()).is_pending() && look(second.as_mut()).is_pending());

    seat.leave();

    assert!(look(second.as_mut()).is_pending());
    let Poll::Ready(Ok(first)) = look(first.as_mut()) else {
        panic!("the first still waits");
    };
    assert!(look(second.as_mut()).is_pending());
    drop(first);
    assert!(look(second.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_for_a_connection() {
    let seats = seats(1);
    let _seat = seats.take(Class::Login).await.unwrap();
    let began = Instant::now();

    let refused = seats.take(Class::Login).await.err().unwrap();

    assert_eq!(began.elapsed(), PATIENCE);
    assert_eq!(refused.retry_after, SHORTLY);
    assert_eq!(seats.waiting(Class::Login), 0);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_in_vain_is_told_so_at_once() {
    let seats = seats(1);
    let _seat = seats.take(Class::Login).await.unwrap();
    let mut first = pin!(seats.take(Class::Login));
    assert!(look(first.as_mut()).is_pending());

    tokio::time::advance(PATIENCE / 2).await;
    let mut second = pin!(seats.take(Class::Login));
    assert!(
        look(second.as_mut()).is_pending(),
        "half of the time is over"
    );
    tokio::time::advance(Duration::from_millis(1)).await;

    assert_eq!(seats.ask(Class::Login).err(), Some(Shed::Slow));
    // Nobody of that class has waited at all.
    let mut other = pin!(seats.take(Class::Send));
    assert!(look(other.as_mut()).is_pending());
}

#[tokio::test]
async fn no_more_than_so_many_wait() {
    let seats = seats(1);
    let _seat = seats.take(Class::Send).await.unwrap();
    let mut waiting: Vec<_> = (0..MOST_WAITING)
        .map(|_| Box::pin(seats.take(Class::Send)))
        .collect();
    for one in &mut waiting {
        assert!(look(one.as_mut()).is_pending());
    }

    assert_eq!(seats.ask(Class::Send).err(), Some(Shed::Full));
    assert!(seats.ask(Class::Login).is_ok_and(|asked| asked.is_err()));
    drop(waiting.remove(0));
    assert!(seats.ask(Class::Send).is_ok_and(|asked| asked.is_err()));
}

#[tokio::test]
async fn the_seat_of_one_who_left_is_the_next_ones() {
    let seats = seats(1);
    let seat = seats.take(Class::Send).await.unwrap();
    let mut second = pin!(seats.take(Class::Send));
    {
        let mut first = Box::pin(seats.take(Class::Send));
        assert!(look(first.as_mut()).is_pending() && look(second.as_mut()).is_pending());
        drop(seat);
        // It was handed the seat, and never looked.
    }

    assert!(look(second.as_mut()).is_ready());
    assert_eq!(seats.taken(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_calls_never_more_have_a_seat_than_may_and_each_gets_one() {
    // How long a loaded machine takes is not what is tested.
    let seats = patient(8, Duration::from_mins(1));
    let calls = (0..3000).map(|number| {
        let (seats, class) = (Arc::clone(&seats), Class::ALL[number % 3]);
        tokio::spawn(async move {
            let mut seat = seats.take(class).await.unwrap();
            let taken = seats.taken();
            tokio::task::yield_now().await;
            seat.leave();
            taken
        })
    });
    let taken: Vec<usize> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();

    assert!(taken.iter().all(|taken| *taken <= 7), "{taken:?}");
    assert_eq!(seats.taken(), 0);
    assert!(
        Class::ALL
            .into_iter()
            .all(|class| seats.waiting(class) == 0)
    );
}

#[test]
fn whoever_is_told_to_come_back_is_counted_by_class_and_reason() {
    let metrics = Arc::new(Metrics::new(Names::default()).unwrap());
    let seats = Seats::new(8, PATIENCE, Arc::clone(&metrics));
    seats.shed(Class::Send, Shed::Full);
    let text = metrics.render();

    for (class, why, count) in [
        ("send", "full", 1),
        ("send", "late", 0),
        ("login", "slow", 0),
    ] {
        let line =
            format!("otp_auth_calls_shed_total{{class=\"{class}\",reason=\"{why}\"}} {count}");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
