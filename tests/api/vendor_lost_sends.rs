//! Codes that the vendor makes, after a send whose fate is not known: the vendor's handle of the code
//! is learnt when it is needed, by the name under which the SMS was asked for.

use otp_auth::sandbox::{Fault, FaultKind};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Instance, Line, PHONE};

async fn start(connect: PgConnectOptions, more: &[(&str, &str)]) -> (Line, Instance) {
    let line = Line::startmessaging_vendor(connect).await;
    // Less than the 10 s that a 429 asks for, and soon over where nothing comes.
    let impatient = ("STARTMESSAGING__TIMEOUT_MS", "1500");
    let app = line.instance_with(&[&[impatient], more].concat(), "").await;
    (line, app)
}

fn phone(number: usize) -> String {
    format!("+9198765432{number:02}")
}

/// The SMS arrives, the vendor's handle of its code does not: it is asked for again by the SMS's name.
#[sqlx::test]
async fn a_code_whose_send_was_not_confirmed_signs_in(_: PgPoolOptions, connect: PgConnectOptions) {
    let (line, app) = start(connect, &[]).await;
    for (number, (fault, status, code)) in [
        (FaultKind::ResetAfterSend, 504, "provider_timeout"),
        (FaultKind::Hang, 504, "provider_timeout"),
        (FaultKind::Garbage, 502, "provider_error"),
    ]
    .into_iter()
    .enumerate()
    {
        let phone = phone(number);
        line.world.sandbox.arm(Fault::once(fault));
        let sent = app.send(&phone).await;
        assert_eq!(sent.problem(), (status, code.to_owned()), "{fault:?}");
        let id = sent.text("request_id");

        let answer = app.verify(&id, &line.code(&phone)).await;

        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.body);
        assert_eq!(line.codes(&phone).len(), 1, "{fault:?}");
    }
}

/// It is the one SMS that was admitted, only late.
#[sqlx::test]
async fn a_send_that_was_lost_goes_out_when_its_code_is_asked_about(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[]).await;
    line.world.sandbox.arm(Fault::once(FaultKind::ResetBefore));
    let id = app.send(PHONE).await.text("request_id");
    assert_eq!(line.codes(PHONE).len(), 0);

    let guess = app.verify(&id, "000000").await;

    assert_eq!(guess.problem(), (401, "otp_incorrect".to_owned()));
    assert_eq!(line.codes(PHONE).len(), 1);
    assert_eq!(app.verify(&id, &line.code(PHONE)).await.status, 200);
}

/// Nobody can make the vendor text past the limits by trying codes: where it keeps to its promise, it
/// texts once for each name, and where it does not, it is asked five times.
#[sqlx::test]
async fn trying_codes_of_a_send_that_is_said_to_have_failed_sends_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[("OTP__MAX_ATTEMPTS", "10")]).await;
    let sandbox = &line.world.sandbox;
    for (number, (fault, then, sms, most_asked)) in [
        (FaultKind::SendFailedAfterSend, None, 1, 2),
        (
            FaultKind::Http500,
            Some(FaultKind::SendFailedAfterSend),
            1,
            3,
        ),
        (FaultKind::Http500, Some(FaultKind::Http500), 0, 6),
    ]
    .into_iter()
    .enumerate()
    {
        let (phone, asked_before) = (phone(number), sandbox.requests().send);
        sandbox.arm(Fault::once(fault));
        let sent = app.send(&phone).await;
        assert_eq!(sent.problem(), (502, "provider_error".to_owned()));
        let id = sent.text("request_id");
        if let Some(then) = then {
            sandbox.arm(Fault::always(then));
        }

        for _ in 0..9 {
            // Sends only fail: where checks fail too, it is by the same fault.
            let answer = app.verify(&id, "000000").await;
            assert_ne!(answer.status, 200, "{fault:?}: {}", answer.body);
        }

        let asked = sandbox.requests().send - asked_before;
        assert!(
            asked <= most_asked,
            "{fault:?}, {then:?}: asked {asked} times"
        );
        assert_eq!(line.codes(&phone).len(), sms, "{fault:?}, {then:?}");
        sandbox.disarm_all();
        line.world.clock.advance(60);
    }
}

/// An SMS of which nobody knows whether it left is sent again by its own name, so that it is one SMS
/// in the end; what is confirmed is left behind, and the next SMS has a new name.
#[sqlx::test]
async fn a_resend_has_a_new_name_only_where_the_send_before_was_confirmed(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[]).await;
    // The fault of the first send, then of the first resend; SMS after them and a second resend.
    for (number, (first, second, sms)) in [
        (Some(FaultKind::ResetAfterSend), None, 2),
        (Some(FaultKind::ResetBefore), None, 2),
        (Some(FaultKind::Garbage), Some(FaultKind::Garbage), 1),
        (None, Some(FaultKind::ResetAfterSend), 2),
        (None, Some(FaultKind::ResetBefore), 2),
        (None, None, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let (phone, why) = (phone(number), format!("{first:?}, {second:?}"));
        let arm = |fault: Option<FaultKind>| {
            if let Some(fault) = fault {
                line.world.sandbox.arm(Fault::once(fault));
            }
        };
        arm(first);
        let id = app.send(&phone).await.text("request_id");
        line.world.clock.advance(30);
        arm(second);
        let resent = app.resend(&id).await;
        assert_eq!(resent.status == 200, second.is_none(), "{why}");
        line.world.clock.advance(60);

        assert_eq!(app.resend(&id).await.status, 200, "{why}");

        let messages = line.world.sandbox.messages_to(&phone);
        assert_eq!(messages.len(), sms, "{why}");
        let keys: std::collections::HashSet<_> =
            messages.iter().map(|sms| &sms.idempotency_key).collect();
        assert_eq!(keys.len(), sms, "{why}: no name twice");
        let oldest = &messages[sms - 1].code;
        let verified = app.verify(&id, oldest).await;
        assert_eq!(verified.status, 200, "{why}: {}", verified.body);
    }
}
