use super::*;

/// The real server's answer to a send that worked.
const SENT: &str = r#"{"success":true,"statusCode":201,"requestId":"req_9f2c41d07b3e4a18","timestamp":"2026-11-02T09:15:30.123Z","data":{"otpRequestId":"6b1d0c1e-6d0b-4b7e-9a7e-0f4a1c2d3e4f","messageId":"f2a7c9d4-1b2c-4d3e-8f90-a1b2c3d4e5f6","status":"sent","phoneNumber":"+919876543210","createdAt":"2026-11-02T09:15:30.101Z"}}"#;

fn error(code: &str, message: &str) -> String {
    format!(
        r#"{{"success":false,"statusCode":0,"requestId":"0b0c","timestamp":"t","error":{{"code":"{code}","message":"{message}"}}}}"#
    )
}

/// The kind of an error, whose fault it is, and what may be done about it.
fn told(error: &ProviderError) -> String {
    let nature = error.nature();
    let ambiguous = if nature.ambiguous { ", ambiguous" } else { "" };
    let retryable = if nature.retryable { ", retryable" } else { "" };
    format!(
        "{} ({:?}{ambiguous}{retryable})",
        error.kind(),
        nature.fault
    )
}

fn send(mode: CodeOwner, status: u16, body: &str) -> String {
    match sent(&Answer::of(status, body), mode) {
        Ok(accepted) => format!(
            "accepted {} {}",
            accepted.message_id.as_deref().unwrap_or("-"),
            accepted.reference.as_deref().unwrap_or("-")
        ),
        Err(error) => told(&error),
    }
}

#[test]
fn every_success_and_nonsense_has_one_meaning() {
    let ours = "accepted f2a7c9d4-1b2c-4d3e-8f90-a1b2c3d4e5f6 -";
    let nonsense = "nonsense (Provider, ambiguous)";
    let failed = "failed (Provider, ambiguous)";
    let huge = format!(
        r#"{{"success":true,"data":{{"messageId":"{}"}}}}"#,
        "m".repeat(300)
    );
    for (status, body, expected) in [
        (201, SENT, ours),
        (200, SENT, ours),
        (201, r#"{"success":true,"data":null}"#, "accepted - -"),
        (201, r#"{"success":true}"#, "accepted - -"),
        (201, r#"{"data":{"messageId":17}}"#, "accepted 17 -"),
        (201, r#"{"data":{"messageId":["m"]}}"#, "accepted - -"),
        (201, &huge, "accepted - -"),
        (
            201,
            r#"{"success":true,"requestId":"req_1","data":{}}"#,
            "accepted - -",
        ),
        (201, r#"{"success":true,"data":"sent"}"#, "accepted - -"),
        (200, &error("OTP_SEND_FAILED", "x"), failed),
        (200, r#"{"success":false}"#, failed),
        (201, "<html>", nonsense),
        (201, "", nonsense),
        (201, SENT.get(..200).unwrap(), nonsense),
        (201, "[]", nonsense),
        (201, "null", nonsense),
    ] {
        assert_eq!(
            send(CodeOwner::Service, status, body),
            expected,
            "{status} {body}"
        );
    }
}

/// The error table of its server, row by row, and what anything on the way may answer.
#[test]
fn every_refusal_of_a_send_has_one_meaning() {
    let failed = "failed (Provider, ambiguous)";
    for (status, body, expected) in [
        (302, "", failed),
        (
            400,
            &error("VALIDATION_ERROR", "Phone number must be in E.164 format"),
            "rejected (Caller)",
        ),
        (
            400,
            &error("INVALID_INPUT", "Unexpected token"),
            "rejected (Caller)",
        ),
        (
            400,
            &error("RATE_LIMIT_EXCEEDED", "Too many"),
            "number_cooling (Number)",
        ),
        (
            400,
            &error("INSUFFICIENT_BALANCE", "Insufficient balance"),
            "account_fault (Account)",
        ),
        (
            400,
            &error("OTP_SEND_FAILED", "x"),
            "send_failed (Provider, ambiguous)",
        ),
        (400, "<html>400 Bad Request</html>", failed),
        (400, r#"{"message":"flat"}"#, failed),
        (
            401,
            &error("UNAUTHORIZED", "Invalid API key"),
            "account_fault (Account)",
        ),
        (
            401,
            &error("UNAUTHORIZED", "Account is suspended"),
            "account_fault (Account)",
        ),
        (
            401,
            &error("UNAUTHORIZED", "Authentication required"),
            "account_fault (Account)",
        ),
        (
            402,
            &error("PAYMENT_REQUIRED", "x"),
            "account_fault (Account)",
        ),
        (
            403,
            &error("FORBIDDEN", "KYC approval pending"),
            "account_fault (Account)",
        ),
        (
            404,
            &error("NOT_FOUND", "Cannot POST /otp/send"),
            "wrong_mode (Caller)",
        ),
        (405, "", "wrong_mode (Caller)"),
        (409, &error("CONFLICT", "x"), "rejected (Caller)"),
        (413, "", "rejected (Caller)"),
        (
            429,
            &error("INTERNAL_ERROR", "ThrottlerException"),
            "throttled (Provider, retryable)",
        ),
        (429, "", "throttled (Provider, retryable)"),
        (
            500,
            &error("INTERNAL_ERROR", "Internal server error"),
            failed,
        ),
        (502, "<html>502 Bad Gateway</html>", failed),
        (504, "<html>504</html>", failed),
        (599, "", failed),
    ] {
        assert_eq!(
            send(CodeOwner::Service, status, body),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn where_the_provider_makes_the_code_its_reference_is_needed() {
    let made = "accepted - 6b1d0c1e";
    for (status, body, expected) in [
        (
            201,
            r#"{"success":true,"data":{"requestId":"6b1d0c1e","attemptsLeft":3}}"#,
            made,
        ),
        (
            201,
            r#"{"success":true,"data":{"otpRequestId":"6b1d0c1e","requestId":"x"}}"#,
            made,
        ),
        (
            201,
            r#"{"success":true,"requestId":"req_1","data":{}}"#,
            "nonsense (Provider, ambiguous)",
        ),
        (
            201,
            r#"{"success":true,"data":null}"#,
            "nonsense (Provider, ambiguous)",
        ),
        (
            400,
            &error("VALIDATION_ERROR", "variables must be a non-empty object"),
            "wrong_mode (Caller)",
        ),
        (
            400,
            &error("VALIDATION_ERROR", "Phone number must be"),
            "rejected (Caller)",
        ),
    ] {
        assert_eq!(
            send(CodeOwner::Vendor, status, body),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn every_answer_to_a_check_has_one_meaning() {
    let nonsense = "nonsense (Provider, ambiguous)";
    for (status, body, expected) in [
        (200, r#"{"success":true,"data":{"verified":true}}"#, "Right"),
        (200, r#"{"verified":true}"#, "Right"),
        (
            200,
            r#"{"success":true,"data":{"verified":false}}"#,
            "Wrong",
        ),
        (
            200,
            r#"{"success":false,"verified":false,"attempts_remaining":2}"#,
            "Wrong",
        ),
        (
            200,
            r#"{"success":true,"data":{"verified":"true"}}"#,
            nonsense,
        ),
        (200, r#"{"success":true,"data":{"verified":1}}"#, nonsense),
        (
            200,
            r#"{"success":false,"data":{"verified":true}}"#,
            nonsense,
        ),
        (200, r#"{"success":true,"data":null}"#, nonsense),
        (200, "<html>", nonsense),
        (400, &error("OTP_INVALID", "Invalid OTP code"), "Wrong"),
        (400, &error("INVALID_INPUT", "Invalid OTP"), "Wrong"),
        (400, r#"{"message":"Invalid OTP"}"#, "Wrong"),
        (400, &error("ALREADY_VERIFIED", "x"), "AlreadyUsed"),
        (400, &error("MAX_ATTEMPTS_EXCEEDED", "x"), "Spent"),
        (400, &error("INVALID_REQUEST_ID", "x"), "Gone"),
        (400, &error("OTP_EXPIRED", "x"), "Gone"),
        (410, &error("OTP_EXPIRED", "x"), "Gone"),
        (
            400,
            &error("VALIDATION_ERROR", "otpCode must be a string"),
            "rejected (Caller)",
        ),
        (400, "<html>", "failed (Provider, ambiguous)"),
        (
            401,
            &error("UNAUTHORIZED", "Invalid API key"),
            "account_fault (Account)",
        ),
        (
            404,
            &error("NOT_FOUND", "Cannot POST /otp/verify"),
            "wrong_mode (Caller)",
        ),
        (429, "", "throttled (Provider, retryable)"),
        (
            500,
            &error("INTERNAL_ERROR", "x"),
            "failed (Provider, ambiguous)",
        ),
        (502, "<html>", "failed (Provider, ambiguous)"),
    ] {
        let told = match checked(&Answer::of(status, body)) {
            Ok(verdict) => format!("{verdict:?}"),
            Err(error) => told(&error),
        };
        assert_eq!(told, expected, "{status} {body}");
    }
}

#[test]
fn a_delivery_is_read_in_both_spellings_and_unknown_ids_are_none() {
    let none = "None";
    for (status, body, expected) in [
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"delivered","failureReason":null}}"#,
            "Some(Delivered)",
        ),
        (
            200,
            r#"{"success":true,"data":{"messageId":"m","status":"delivered","error":null}}"#,
            "Some(Delivered)",
        ),
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"failed","failureReason":"off"}}"#,
            "Some(Failed)",
        ),
        (
            200,
            r#"{"success":true,"data":{"messageId":"m","status":"failed","error":"off"}}"#,
            "Some(Failed)",
        ),
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"expired"}}"#,
            "Some(Failed)",
        ),
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"initiated"}}"#,
            "Some(Pending)",
        ),
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"queued"}}"#,
            "Some(Pending)",
        ),
        (
            200,
            r#"{"success":true,"data":{"id":"m","status":"sent"}}"#,
            "Some(Pending)",
        ),
        (200, r#"{"success":true,"data":null}"#, none),
        (200, r#"{"success":true,"data":{"status":7}}"#, none),
        (404, &error("NOT_FOUND", "Message not found"), none),
        (200, "<html>", "nonsense (Provider, ambiguous)"),
        (200, r#"{"success":false}"#, "failed (Provider, ambiguous)"),
        (
            500,
            &error("INTERNAL_ERROR", "x"),
            "failed (Provider, ambiguous)",
        ),
        (401, &error("UNAUTHORIZED", "x"), "account_fault (Account)"),
    ] {
        let told = match progress(&Answer::of(status, body)) {
            Ok(progress) => format!("{progress:?}"),
            Err(error) => told(&error),
        };
        assert_eq!(told, expected, "{status} {body}");
    }
}
