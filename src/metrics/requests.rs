//! What is told of calls: how many, how they ended, how long they took.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram, Label};

use super::Metrics;
use super::table::{REQUEST_DURATION, REQUESTS};

/// The label of whatever is no route.
const UNMATCHED: &str = "unmatched";
/// Methods that are told apart; callers may invent others.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
/// Statuses that are told apart: all that this service answers with, and 0 for others.
const STATUSES: [(u16, &str); 20] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (0, "other"),
];
/// Those that alerts ask for are there, and zero, as soon as a route is: a rate cannot tell the first of a
/// series from none.
const EXPECTED: [u16; 6] = [200, 429, 500, 502, 503, 504];

/// What is counted of one route and method.
struct Handles {
    statuses: [OnceLock<Counter>; STATUSES.len()],
    duration: Histogram,
}

/// What is counted of one route.
#[derive(Default)]
struct Route {
    methods: [OnceLock<Handles>; METHODS.len()],
}

/// What is counted of all routes, looked up once each. The names come from the route table.
#[derive(Default)]
pub(super) struct Requests {
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

impl Requests {
    fn route(&self, name: &str) -> Arc<Route> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(name) {
            return Arc::clone(route);
        }
        drop(routes);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(name.to_owned()).or_default())
    }
}

impl Metrics {
    /// Makes the series of a route, before anybody calls it.
    pub fn expect_requests(&self, route: &str, method: &str) {
        let of_route = self.requests.route(route);
        self.handles(&of_route, (route, method));
    }

    /// Counts a call that was answered. `route` is the template in the route table, `None` if there is none.
    pub fn request(&self, route: Option<&str>, method: &str, status: u16, took: Duration) {
        let route = route.unwrap_or(UNMATCHED);
        let of_route = self.requests.route(route);
        let Some(handles) = self.handles(&of_route, (route, method)) else {
            return;
        };
        let (status, (_, name)) = place(&STATUSES, |(known, _)| known == status);
        if let Some(counter) = handles.statuses.get(status) {
            counter
                .get_or_init(|| self.of_status(route, method, name))
                .increment(1);
        }
        handles.duration.record(took.as_secs_f64());
        self.tidy_now_and_then();
    }

    fn handles<'a>(
        &self,
        of_route: &'a Route,
        (route, method): (&str, &str),
    ) -> Option<&'a Handles> {
        let (place, name) = place(&METHODS, |known| known == method);
        let handles = of_route.methods.get(place)?;
        Some(handles.get_or_init(|| Handles {
            statuses: STATUSES.map(|(status, label)| {
                let counter = OnceLock::new();
                if EXPECTED.contains(&status) {
                    counter.get_or_init(|| self.of_status(route, name, label));
                }
                counter
            }),
            duration: self.histogram_of(REQUEST_DURATION, labels(route, name)),
        }))
    }

    fn of_status(&self, route: &str, method: &str, status: &'static str) -> Counter {
        let (_, method) = place(&METHODS, |known| known == method);
        let mut labels = labels(route, method);
        labels.push(Label::from_static_parts("status", status));
        self.counter_of(REQUESTS, labels)
    }
}

fn labels(route: &str, method: &'static str) -> Vec<Label> {
    vec![
        Label::new("route", route.to_owned()),
        Label::from_static_parts("method", method),
    ]
}

/// The place and the value of the first that fits, else of the last.
fn place<T: Copy + Default>(known: &[T], fits: impl Fn(T) -> bool) -> (usize, T) {
    let place = known.iter().position(|each| fits(*each));
    let place = place.unwrap_or(known.len().saturating_sub(1));
    (place, known.get(place).copied().unwrap_or_default())
}
