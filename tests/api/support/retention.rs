//! What is over and leaves by itself, seen from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Instance, World};

impl World {
    /// Moves the clock, and returns when an instance has looked through every table as of then.
    pub(crate) async fn later(&self, app: &Instance, seconds: i64) {
        let before = app.walks().await;
        assert_eq!(before.len(), 5, "it has looked through all of them once");
        // It rests until then: no walk begins between these two lines.
        self.clock.advance(seconds);
        let walked = async {
            while app
                .walks()
                .await
                .iter()
                .any(|(table, walks)| *walks <= before[table])
            {}
        };
        let walked = tokio::time::timeout(Duration::from_mins(1), walked).await;
        assert!(walked.is_ok(), "the tables are looked through again");
    }

    /// How many rows a query finds.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let count = self.text(&format!("SELECT count(*) FROM {rows}")).await;
        count.unwrap().parse().unwrap()
    }
}

impl Instance {
    /// Waits until it has looked through every table once.
    pub(crate) async fn leading(self) -> Self {
        let led = async { while self.walks().await.len() < 5 {} };
        let led = tokio::time::timeout(Duration::from_mins(1), led).await;
        assert!(led.is_ok(), "it leads");
        self
    }

    /// How often it has looked through each table.
    async fn walks(&self) -> BTreeMap<String, u64> {
        let metrics = self.admin_get("/metrics").await.body;
        let lines = metrics.lines().filter_map(|line| {
            let (table, count) = line
                .strip_prefix("otp_auth_retention_walks_total{table=\"")?
                .split_once("\"} ")?;
            Some((table.to_owned(), count.parse().unwrap()))
        });
        lines.filter(|(_, count)| *count > 0).collect()
    }
}
