//! Calls as an operator makes them, and what they leave in the database.

use std::sync::Arc;

use otp_auth::audit::Audit;
use otp_auth::random::SystemRandom;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use sqlx::{Executor as _, Row as _};

use super::{Answer, Instance, World};

/// The bearer token of the admin calls.
pub(crate) const ADMIN_TOKEN: &str = "admin-token-of-the-tests-0123456789";

impl Instance {
    /// A call to the admin listener with its token.
    pub(crate) fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.admin));
        request.bearer_auth(ADMIN_TOKEN)
    }

    pub(crate) async fn admin_get(&self, path: &str) -> Answer {
        Answer::of(self.admin(Method::GET, path)).await
    }

    pub(crate) async fn admin_post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.admin(Method::POST, path).json(body)).await
    }

    /// The audit events that a query finds, newest first.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.admin_get(&format!("/admin/v1/audit?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["events"].as_array().unwrap().clone()
    }
}

impl World {
    /// The audit log, to write to as the service does.
    pub(crate) fn audit(&self) -> Audit {
        Audit::new(
            self.pool.clone(),
            Arc::new(SystemRandom),
            self.clock.clone(),
        )
    }

    /// One value, as text.
    pub(crate) async fn text(&self, question: &str) -> Option<String> {
        let question = sqlx::AssertSqlSafe(format!("SELECT ({question})::text"));
        let row = self.pool.fetch_one(sqlx::raw_sql(question)).await.unwrap();
        row.get(0)
    }

    /// The tables with a row in which a text stands; bytes stand there in hex.
    pub(crate) async fn tables_with(&self, text: &str) -> Vec<String> {
        let tables = sqlx::query_scalar!(
            r#"SELECT tablename::text AS "name!" FROM pg_tables WHERE schemaname = 'public'
               ORDER BY tablename"#
        );
        let mut found = Vec::new();
        for table in tables.fetch_all(&self.pool).await.unwrap() {
            let there = format!(
                "EXISTS (SELECT FROM {table} AS t WHERE position('{text}' IN t::text) > 0)"
            );
            if self.text(&there).await.as_deref() == Some("true") {
                found.push(table);
            }
        }
        found
    }
}
