//! An HTTP answer, read to its end.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        Self {
            status,
            headers,
            body: response.text().await.expect("a body"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// A string member.
    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in {}", self.body))
            .to_owned()
    }

    /// What the `errors` of an `invalid_request` point at.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().expect("errors").iter();
        errors
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A header, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        value
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    }

    /// `Retry-After` in seconds.
    pub(crate) fn retry_after(&self) -> i64 {
        self.header("retry-after")
            .parse()
            .expect("Retry-After in whole seconds")
    }

    /// Status and problem code, after checking that the body is a whole problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.body
        );
        assert_eq!(body["status"], self.status);
        assert_eq!(
            body["request_trace_id"],
            self.header("x-request-id").as_str()
        );
        assert_eq!(self.header("cache-control"), "no-store");
        for member in ["type", "title", "detail", "code"] {
            assert!(body[member].is_string(), "{member} in {}", self.body);
        }
        let code = self.text("code");
        assert!(
            self.text("type").ends_with(&format!("/problems/{code}")),
            "{}",
            self.body
        );
        if self.status == 429 || self.status == 503 {
            assert!(self.retry_after() >= 1);
            assert_eq!(body["retry_after"], self.retry_after(), "{}", self.body);
        }
        (self.status, code)
    }
}
