//! A resolver that remembers: an SMS must not wait for DNS each time, nor fail when DNS does.
//!
//! The operating system's own lookup remembers nothing, and an idle connection to a vendor is kept for
//! a minute only, so that on a quiet day nearly every SMS would ask DNS first. An old answer is safe to use: TLS
//! proves who answers at an address.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time;

use crate::clock::Clock;

/// Names remembered at once. A process calls one or two vendors; the bound is there in case a name
/// ever comes from outside.
const MOST_NAMES: usize = 16;

/// How long answers are used, and how long DNS is waited for.
#[derive(Clone, Copy, Debug)]
pub struct ResolverPolicy {
    /// How long an answer is used without asking again. The operating system does not tell the
    /// answer's own time to live; a minute follows a vendor that moves soon enough, and spares most
    /// sends the question.
    pub fresh_for: Duration,
    /// How old an answer can get while DNS fails.
    pub stale_for: Duration,
    /// Time between two tries to replace an old answer. Within it others use the old one, so that a
    /// DNS that hangs holds up one call now and then, not all of them.
    pub ask_every: Duration,
    /// Longest wait for DNS while there is an old answer. The system's lookup gives up after 5 s and
    /// more (resolv.conf(5), `timeout` and `attempts`), later than a connection is waited for.
    pub patience: Duration,
}

impl Default for ResolverPolicy {
    /// A minute of use, ten in an outage, 5 s between tries of at most 500 ms: our own figures.
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_mins(1),
            stale_for: Duration::from_mins(10),
            ask_every: Duration::from_secs(5),
            patience: Duration::from_millis(500),
        }
    }
}

/// Asks for the addresses of a host.
pub trait Lookup: Send + Sync {
    /// The host's addresses, with port 0.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    }
}

/// A resolver that remembers; its clones share what they know.
#[derive(Clone)]
pub struct CachingResolver {
    policy: ResolverPolicy,
    lookup: Arc<dyn Lookup>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<HashMap<String, Answer>>>,
}

struct Answer {
    addresses: Vec<SocketAddr>,
    given_at: Duration,
    /// When DNS is to be asked again.
    ask_at: Duration,
}

impl CachingResolver {
    /// A resolver that knows nothing yet.
    pub fn new(policy: ResolverPolicy, lookup: Arc<dyn Lookup>, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy,
            lookup,
            clock,
            known: Arc::default(),
        }
    }

    /// The addresses of a host: remembered ones, or else what DNS says, or else old ones.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let old = match self.recall(host) {
            Recalled::Enough(addresses) => return Ok(addresses),
            Recalled::Old(addresses) => addresses,
            Recalled::Nothing => {
                let addresses = self.ask(host).await?;
                self.remember(host, &addresses);
                return Ok(addresses);
            }
        };
        if let Ok(Ok(addresses)) = time::timeout(self.policy.patience, self.ask(host)).await {
            self.remember(host, &addresses);
            return Ok(addresses);
        }
        tracing::warn!("DNS does not answer: using an older address of the SMS provider");
        Ok(old)
    }

    /// Asks DNS. No address at all is a failure too.
    async fn ask(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.lookup.lookup(host.to_owned()).await?;
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the host has no address",
            ));
        }
        Ok(addresses)
    }

    /// What is known. Where it has to be asked again, the next caller within
    /// [`ResolverPolicy::ask_every`] is content with the old answer.
    fn recall(&self, host: &str) -> Recalled {
        let now = self.clock.monotonic();
        let mut known = self.lock();
        let Some(answer) = known.get_mut(host) else {
            return Recalled::Nothing;
        };
        if now.saturating_sub(answer.given_at) >= self.policy.stale_for {
            return Recalled::Nothing;
        }
        let addresses = answer.addresses.clone();
        if now < answer.ask_at {
            return Recalled::Enough(addresses);
        }
        answer.ask_at = now.saturating_add(self.policy.ask_every);
        Recalled::Old(addresses)
    }

    fn remember(&self, host: &str, addresses: &[SocketAddr]) {
        let now = self.clock.monotonic();
        let mut known = self.lock();
        if known.len() >= MOST_NAMES && !known.contains_key(host) {
            let oldest = known.iter().min_by_key(|(_, answer)| answer.given_at);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                known.remove(&oldest);
            }
        }
        let answer = Answer {
            addresses: addresses.to_vec(),
            given_at: now,
            ask_at: now.saturating_add(self.policy.fresh_for),
        };
        known.insert(host.to_owned(), answer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Recalled {
    /// These need not be asked for.
    Enough(Vec<SocketAddr>),
    /// These will do if DNS does not answer.
    Old(Vec<SocketAddr>),
    /// Nothing, or nothing that may still be used.
    Nothing,
}

impl Resolve for CachingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::future;

    use super::*;
    use crate::clock::stopped::Stopped;

    const MINUTE: Duration = Duration::from_mins(1);
    const MILLISECOND: Duration = Duration::from_millis(1);
    const HOST: &str = "api.example";

    enum Said {
        Addresses(&'static [&'static str]),
        Failed,
        Silent,
    }

    /// Says what it was told to, in turn, and counts how often it is asked.
    #[derive(Default)]
    struct Script(Mutex<(VecDeque<Said>, usize)>);

    impl Lookup for Script {
        fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let mut script = self.0.lock().unwrap();
            script.1 += 1;
            match script.0.pop_front() {
                Some(Said::Addresses(texts)) => {
                    let addresses = texts.iter().map(|text| address(text)).collect();
                    Box::pin(future::ready(Ok(addresses)))
                }
                Some(Said::Failed) | None => {
                    Box::pin(future::ready(Err(io::Error::other("DNS is down"))))
                }
                Some(Said::Silent) => Box::pin(future::pending()),
            }
        }
    }

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 0)
    }

    struct World {
        resolver: CachingResolver,
        script: Arc<Script>,
        clock: Arc<Stopped>,
    }

    impl World {
        fn new(says: impl IntoIterator<Item = Said>) -> Self {
            let (script, clock) = (Arc::new(Script::default()), Stopped::new());
            script.0.lock().unwrap().0.extend(says);
            let policy = ResolverPolicy {
                // Elapses at the second look, without a real wait.
                patience: Duration::ZERO,
                ..ResolverPolicy::default()
            };
            Self {
                resolver: CachingResolver::new(policy, script.clone(), clock.clone()),
                script,
                clock,
            }
        }

        fn asked(&self) -> usize {
            self.script.0.lock().unwrap().1
        }

        async fn is(&self, text: &str) {
            let addresses = self.resolver.addresses(HOST).await.unwrap();
            assert_eq!(addresses, [address(text)]);
        }
    }

    #[tokio::test]
    async fn an_answer_is_used_for_a_minute_and_asked_for_again_after_it() {
        let world = World::new([
            Said::Addresses(&["192.0.2.1"]),
            Said::Addresses(&["192.0.2.2"]),
        ]);
        world.is("192.0.2.1").await;

        world.clock.advance(59_999 * MILLISECOND);
        world.is("192.0.2.1").await;
        assert_eq!(world.asked(), 1);

        world.clock.advance(MILLISECOND);
        world.is("192.0.2.2").await;
        world.clock.advance(59_999 * MILLISECOND);
        world.is("192.0.2.2").await;
        assert_eq!(world.asked(), 2);
    }

    #[tokio::test]
    async fn an_old_answer_is_used_for_ten_minutes_while_dns_fails() {
        for trouble in [Said::Failed, Said::Silent, Said::Addresses(&[])] {
            let world = World::new([Said::Addresses(&["192.0.2.1"]), trouble]);
            world.is("192.0.2.1").await;

            world.clock.advance(MINUTE);
            world.is("192.0.2.1").await;
            world.clock.advance(539_999 * MILLISECOND);
            world.is("192.0.2.1").await;
            assert_eq!(world.asked(), 3);

            world.clock.advance(MILLISECOND);
            assert!(world.resolver.addresses(HOST).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_dns_that_fails_is_asked_every_five_seconds_and_believed_again() {
        let world = World::new([
            Said::Addresses(&["192.0.2.1"]),
            Said::Failed,
            Said::Addresses(&["192.0.2.2"]),
        ]);
        world.is("192.0.2.1").await;
        world.clock.advance(MINUTE);
        world.is("192.0.2.1").await;

        world.clock.advance(4999 * MILLISECOND);
        world.is("192.0.2.1").await;
        assert_eq!(world.asked(), 2);

        world.clock.advance(MILLISECOND);
        world.is("192.0.2.2").await;
        assert_eq!(world.asked(), 3);
    }

    #[tokio::test]
    async fn where_nothing_is_known_a_failure_is_a_failure() {
        for trouble in [Said::Failed, Said::Addresses(&[])] {
            let world = World::new([trouble, Said::Addresses(&["192.0.2.1"])]);

            assert!(world.resolver.addresses(HOST).await.is_err());

            world.is("192.0.2.1").await;
        }
    }

    #[tokio::test]
    async fn of_too_many_names_the_oldest_is_forgotten() {
        let world = World::new((0..=MOST_NAMES).map(|_| Said::Addresses(&["192.0.2.1"])));
        for number in 0..=MOST_NAMES {
            let host = format!("{number}.example");
            assert!(world.resolver.addresses(&host).await.is_ok());
            world.clock.advance(MILLISECOND);
        }

        assert!(world.resolver.addresses("1.example").await.is_ok());
        assert!(world.resolver.addresses("0.example").await.is_err());
        assert_eq!(world.resolver.lock().len(), MOST_NAMES);
    }

    #[tokio::test]
    async fn the_system_knows_its_own_host() {
        let resolver = CachingResolver::new(
            ResolverPolicy::default(),
            Arc::new(SystemLookup),
            Stopped::new(),
        );

        let addresses = resolver.resolve("localhost".parse().unwrap()).await;

        assert!(addresses.unwrap().all(|a| a.ip().is_loopback()));
    }
}
