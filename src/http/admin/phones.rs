//! `/admin/v1/phones`: where a phone stands. The number comes in the body, since paths and queries
//! end up in logs.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::shown;
use super::reason;
use crate::audit::{Action, Event, Outcome, Remark};
use crate::clock::rfc3339;
use crate::http::body::{Faults, Fields};
use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::incoming::Body;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::people::Standing;
use crate::phone::{PhoneNumber, PhoneRules};

/// Where a phone stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Standing)]
pub(in crate::http) struct StandingBody {
    /// A keyed hash, as the audit log has it.
    phone_index: String,
    #[schema(required)]
    user_id: Option<Uuid>,
    #[schema(required, format = DateTime)]
    locked_until: Option<String>,
    failures_in_row: i32,
    /// Whether it waits for an operator, or for a known device.
    stopped: bool,
    sends_in_24_hours: i32,
}

impl From<Standing> for StandingBody {
    fn from(standing: Standing) -> Self {
        Self {
            phone_index: shown(standing.phone.as_bytes()),
            user_id: standing.user,
            locked_until: standing.locked_until.map(rfc3339),
            failures_in_row: standing.failures_in_row,
            stopped: standing.is_stopped,
            sends_in_24_hours: standing.sends_in_24_hours,
        }
    }
}

/// `POST /admin/v1/phones/lookup`
pub(super) async fn look_up(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let fields = call.fields(&body)?;
        let text = fields.text("phone_number");
        let text = text.map_err(|error| Problem::field("/phone_number", &error.to_string()))?;
        let phone = PhoneNumber::parse(text, &call.state.phone_rules)?;
        let standing = call.state.people.look_up(&phone, call.now()).await?;
        let looked = Event::new(
            Action::PhoneLookUp,
            Outcome::Success,
            call.operator()?.into(),
        );
        let looked = looked.phone(standing.phone).trace(call.trace_id());
        call.state.audit.record(&looked).await?;
        Ok(Reply::json(200, &StandingBody::from(standing)))
    })
    .await
}

/// `POST /admin/v1/phones/unlock`
pub(super) async fn unlock(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let (phone, why) = unlock_fields(&call.fields(&body)?, &call.state.phone_rules)?;
        let people = &call.state.people;
        let standing = people.unlock(&phone, &why, call.change()?);
        Ok(Reply::json(200, &StandingBody::from(standing.await?)))
    })
    .await
}

pub(super) fn unlock_fields(
    fields: &Fields,
    phones: &PhoneRules,
) -> Result<(PhoneNumber, Remark), Problem> {
    let mut faults = Faults::default();
    let phone = faults.note("/phone_number", fields.text("phone_number"));
    let why = reason(&mut faults, fields);
    match (phone, why) {
        (Some(phone), Some(why)) => Ok((PhoneNumber::parse(phone, phones)?, why)),
        _ => Err(faults
            .problem()
            .unwrap_or_else(|| Problem::new(Code::InvalidRequest))),
    }
}
