//! Which requests get their line in the log.
//!
//! Whether one does is told from its id and a key: the same on every replica, and by nobody outside, who could
//! else choose ids that leave no line.

use std::sync::Arc;
use std::time::Duration;

use crate::secrets::Keyring;
use crate::telemetry::Ratio;

/// Whatever takes as long is told of always. Our own figure: no request but one that waits for the provider, or
/// for something that is wrong, takes half of it.
const SLOW: Duration = Duration::from_secs(1);

/// Which requests are told of.
pub struct LogSample {
    ratio: Ratio,
    keyring: Arc<Keyring>,
}

impl LogSample {
    /// This part of them.
    pub fn new(ratio: Ratio, keyring: Arc<Keyring>) -> Self {
        Self { ratio, keyring }
    }

    /// For how many requests the line of this one stands, as the part of them that is told; `None` if it gets none.
    pub(super) fn ratio_of(&self, id: &str, status: u16, took: Duration) -> Option<f64> {
        if self.ratio == Ratio::ALL || status >= 500 || took >= SLOW {
            return Some(Ratio::ALL.get());
        }
        let hash = self.keyring.lookup("log sample", id.as_bytes());
        self.ratio.keeps(&hash).then(|| self.ratio.get())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;

    const SOON: Duration = Duration::from_millis(999);

    fn sample(ratio: &str, key: u8) -> LogSample {
        let keyring = Keyring::derive(&SecretBox::new(Box::new([key; 32]))).unwrap();
        LogSample::new(ratio.parse().unwrap(), Arc::new(keyring))
    }

    /// Which of a thousand requests are told of.
    fn told(sample: &LogSample, status: u16) -> Vec<usize> {
        let is_told = |n: &usize| {
            sample
                .ratio_of(&format!("request-{n}"), status, SOON)
                .is_some()
        };
        (0..1000).filter(is_told).collect()
    }

    #[test]
    fn a_part_of_them_is_told_of_the_same_by_every_replica_and_unforeseen_by_others() {
        let one = told(&sample("0.2", 1), 200);

        assert!((150..250).contains(&one.len()), "{}", one.len());
        assert_eq!(one, told(&sample("0.2", 1), 404));
        assert_ne!(one, told(&sample("0.2", 2), 200));
        let more = told(&sample("0.5", 1), 200);
        assert!(one.iter().all(|n| more.contains(n)));
        let first = format!("request-{}", one[0]);
        assert_eq!(sample("0.2", 1).ratio_of(&first, 200, SOON), Some(0.2));
    }

    #[test]
    fn failures_and_what_is_slow_are_always_told_of_and_stand_for_themselves() {
        let none = sample("0", 1);

        assert!(told(&none, 200).is_empty() && told(&none, 429).is_empty());
        assert_eq!(none.ratio_of("a", 500, SOON), Some(1.0));
        assert_eq!(none.ratio_of("a", 200, SLOW), Some(1.0));
        assert_eq!(told(&sample("1", 1), 200).len(), 1000);
    }
}
