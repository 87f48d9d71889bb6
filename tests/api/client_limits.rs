//! What a single client may: its countries, and its own ceilings.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

const INDIAN: &str = "+919876543210";
const AMERICAN: &str = "+14155552671";

async fn send(app: &Instance, client: &str, phone: &str) -> Answer {
    let body = json!({"phone_number": phone, "client_id": client});
    app.post("/v1/otp/send", &body).await
}

/// security.md 19.
#[sqlx::test]
async fn a_client_with_countries_sends_to_those_only(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = "[[clients]]\nid = 'web'\naudience = 'api'\ncountries = ['IN']\n\
                    [[clients]]\nid = 'shop'\naudience = 'api'\n\
                    [phone]\ncountries = ['IN', 'US']\n";
    let app = world.instance_with(&[], settings).await;

    let refused = send(&app, "web", AMERICAN).await;
    let expected = (403, "phone_number_not_allowed".to_owned());
    assert_eq!(refused.problem(), expected);
    assert_eq!(world.sms_count(AMERICAN), 0);
    send(&app, "web", AMERICAN).await;
    let told = app.events("reason=country").await;
    assert_eq!(told.len(), 1, "once a minute: {told:?}");
    assert_eq!(told[0]["outcome"], "refused");
    assert_eq!(told[0]["actor"], "client:web");

    assert_eq!(send(&app, "web", INDIAN).await.status, 201);
    assert_eq!(send(&app, "shop", AMERICAN).await.status, 201);
}

/// An SMS to India costs 0.25, so the fifth would pass 1.
#[sqlx::test]
async fn a_clients_ceiling_stops_it_and_nobody_else(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = "[[clients]]\nid = 'web'\naudience = 'api'\namount_per_month = 1\n\
                    [[clients]]\nid = 'shop'\naudience = 'api'\nmessages_per_day = 2\n\
                    [[clients]]\nid = 'app'\naudience = 'api'\n\
                    [limits.spend]\nreserved_for_known_percent = 0\n";
    let app = world.instance_with(&[], settings).await;

    let mut phones = (0..).map(|number| format!("+91987654{number:04}"));
    for (client, most) in [("web", 4), ("shop", 2), ("app", 4)] {
        for _ in 0..most {
            let phone = phones.next().unwrap();
            assert_eq!(send(&app, client, &phone).await.status, 201, "{client}");
        }
    }
    for (client, status) in [("web", 503), ("shop", 503), ("app", 201)] {
        let phone = phones.next().unwrap();
        let answer = send(&app, client, &phone).await;
        assert_eq!(answer.status, status, "{client}: {}", answer.body);
        assert_eq!(world.sms_count(&phone), usize::from(status == 201));
    }
}
