//! Bodies, queries and cookies, for [`crate::fuzzing`].

#![expect(
    clippy::unwrap_used,
    reason = "what cannot fail on any input fails the target when it does"
)]

use chrono::{DateTime, Utc};

use super::{admin, authorize, form, otp, problem, token, tutorial};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Whether there may be a phone number in it: the shortest has 7 digits.
fn has_long_number(text: &str) -> bool {
    let mut runs = text.split(|letter: char| !letter.is_ascii_digit());
    runs.any(|digits| digits.len() >= 7)
}

/// The body of a request, as each of the calls reads it.
pub mod body {
    use serde_json::Value;
    use url::form_urlencoded::Serializer;

    use super::form::{Form, OauthError};
    use super::problem::Problem;
    use super::{admin, has_long_number, now, otp, token, tutorial};
    use crate::fuzzing::phone::RULES;
    use crate::http::BODY_LIMIT;
    use crate::http::body::Fields;
    use crate::otp::code::Guess;

    const JSON: Option<&str> = Some("application/json");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    /// What a refusal may say at most, in bytes; it is never made longer by what was refused.
    const LONGEST_REFUSAL: usize = 2048;

    /// What is accepted is read the same when it is written again; a refusal is short, and repeats no number.
    ///
    /// The first byte says whether the others are a form, or JSON and a query.
    ///
    /// # Panics
    /// If that does not hold.
    pub fn check(data: &[u8]) {
        match data.split_first() {
            Some((_, body)) if body.len() > BODY_LIMIT => {}
            Some((b'f', body)) => form(body),
            Some((_, body)) => json(body),
            None => {}
        }
    }

    fn json(body: &[u8]) {
        let query = String::from_utf8_lossy(body);
        let Ok(fields) = Fields::parse(JSON, body) else {
            drop(readings(&Fields::parse(JSON, b"{}").unwrap(), &query));
            return;
        };
        let value: Value = serde_json::from_slice(body).unwrap();
        let written = serde_json::to_vec(&value).unwrap();
        let again = Fields::parse(JSON, &written).unwrap();
        assert_eq!(readings(&fields, &query), readings(&again, &query));
        assert!(!has_long_number(&format!("{fields:?}")));
    }

    /// What each call makes of it, in the clear where it is accepted.
    fn readings(fields: &Fields, query: &str) -> Vec<Result<String, String>> {
        let mut all = vec![
            otp::send_fields(fields, &RULES).map(|(phone, _)| phone.as_e164().to_owned()),
            otp::verify_fields(fields)
                .map(|(request, guess)| format!("{request} {}", guess.digits())),
            otp::request_id(fields).map(|request| request.to_string()),
            otp::receipt(fields)
                .map(|receipt| receipt.map_or_else(String::new, |one| one.expose().to_owned())),
            token::wanted(fields).map(|wanted| format!("{wanted:?}")),
        ];
        for read in admin::read_as_each(fields, query, &RULES, now()) {
            // An operator's reason is kept, so it must not be where a number is.
            let is_query = |text: &str| text.starts_with("Listing");
            assert!(
                !read
                    .as_ref()
                    .is_ok_and(|text| !is_query(text) && has_long_number(text))
            );
            all.push(read);
        }
        let mut readings: Vec<_> = all.into_iter().map(|read| read.map_err(refused)).collect();
        for read in [
            tutorial::pattern(fields, "phone_number", tutorial::indian_e164).map(str::to_owned),
            tutorial::pattern(fields, "code", |code| Guess::parse_tutorial(code).ok())
                .map(|guess| guess.digits().to_owned()),
        ] {
            let read = read.map_err(|reply| reply.body);
            assert!(!read.as_ref().is_err_and(|said| has_long_number(said)));
            readings.push(read);
        }
        readings
    }

    fn refused(problem: Problem) -> String {
        let said = problem.render("https://id.example", "trace").body;
        assert!(said.len() <= LONGEST_REFUSAL);
        // The example that one of them gives.
        assert!(!has_long_number(&said.replace("+919876543210", "")));
        said
    }

    fn form(body: &[u8]) {
        let once = [
            "client_id",
            "client_secret",
            "grant_type",
            "refresh_token",
            "scope",
            "token",
        ];
        let Ok(form) = Form::read(FORM, body) else {
            return;
        };
        let wanted = |form: &Form| {
            form.wanted()
                .map_err(|error| matches!(error, OauthError::Scope))
        };
        let mut writer = Serializer::new(String::new());
        for name in once {
            if let Some(value) = form.get(name) {
                assert!(!value.is_empty());
                writer.append_pair(name, value);
            }
        }
        let asked = wanted(&form);
        for audience in asked
            .iter()
            .flat_map(|wanted| wanted.audience.iter().flatten())
        {
            writer.append_pair("audience", audience);
        }
        let Ok(again) = Form::read(FORM, writer.finish().as_bytes()) else {
            unreachable!("what was just written is a form");
        };
        assert!(once.iter().all(|name| form.get(name) == again.get(name)));
        assert!(asked.is_err() || wanted(&again) == asked);
    }
}

/// The cookies that a browser sends, ours among those of others.
pub mod cookie {
    use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use uuid::Uuid;

    use super::{authorize, tutorial};
    use crate::fuzzing::{Drawn, keyring};
    use crate::otp::request::RequestId;
    use crate::secrets::Purpose;

    const ID: RequestId = RequestId(Uuid::from_u128(7));
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    const GATEWAY_COOKIE: &str = "access";

    /// Our cookies are found whatever others a browser has, and nobody can make one.
    ///
    /// The first byte says where ours stand among the others.
    ///
    /// # Panics
    /// If that does not hold.
    pub fn check(data: &[u8]) {
        let Some((place, others)) = data.split_first() else {
            return;
        };
        let keyring = keyring(1);
        let sealed = keyring.seal(Purpose::Cookie, b"", ID.0.as_bytes(), &Drawn::from(&[]));
        let sealed = URL_SAFE_NO_PAD.encode(sealed.unwrap());
        let ours = format!(
            "{}={sealed}; {GATEWAY_COOKIE}={TOKEN}",
            tutorial::REQUEST_COOKIE
        );
        let ours = ours.as_bytes();
        let lines = match place % 4 {
            0 => vec![others.to_vec()],
            1 => vec![[ours, b"; ", others].concat()],
            2 => vec![[others, b"; ", ours].concat()],
            _ => vec![others.to_vec(), ours.to_vec()],
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let Ok(line) = HeaderValue::from_bytes(&line) else {
                return;
            };
            headers.append(COOKIE, line);
        }
        let has = |name: &str| {
            others
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        };
        let is_sent = place % 4 != 0;

        let opened = tutorial::opened_request(&headers, &keyring);
        assert!(opened.is_none_or(|id| id == ID));
        if is_sent && !has(tutorial::REQUEST_COOKIE) {
            assert_eq!(opened, Some(ID));
        }
        let token = authorize::token(&headers, Some(GATEWAY_COOKIE)).ok();
        if is_sent && !has(GATEWAY_COOKIE) {
            assert_eq!(token.as_deref(), Some(TOKEN));
        }
    }
}
