//! `/admin/v1/switches`: what is turned on and off for everybody.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, ServiceConfig};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::reason;
use crate::audit::Remark;
use crate::clock::rfc3339;
use crate::http::body::{Faults, Fields};
use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::incoming::Body;
use crate::http::problem::Problem;
use crate::http::read;
use crate::http::reply::Reply;
use crate::rules::switch::{Switch, SwitchState};

/// A switch; it never moved if nobody said why.
#[derive(Serialize, ToSchema)]
#[schema(as = Switch)]
pub(in crate::http) struct SwitchBody {
    on: bool,
    #[schema(required)]
    reason: Option<String>,
    #[schema(required, format = DateTime)]
    changed_at: Option<String>,
}

/// All switches.
#[derive(Serialize, ToSchema)]
#[schema(as = Switches)]
pub(in crate::http) struct SwitchesBody {
    /// No SMS at all.
    kill: SwitchBody,
    /// SMS to known users only.
    emergency: SwitchBody,
}

impl From<SwitchState> for SwitchBody {
    fn from(state: SwitchState) -> Self {
        Self {
            on: state.on,
            reason: state.reason,
            changed_at: state.changed_at.map(rfc3339),
        }
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(read("/switches", list))
        .service(web::resource("/switches/{name}").route(web::put().to(set)));
}

/// `GET /admin/v1/switches`
async fn list(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let rules = &call.state.rules;
        let body = SwitchesBody {
            kill: rules.switch(Switch::Kill).await?.into(),
            emergency: rules.switch(Switch::Emergency).await?.into(),
        };
        Ok(Reply::json(200, &body))
    })
    .await
}

/// `PUT /admin/v1/switches/{name}`
async fn set(call: Call, path: Path<String>, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let switch = Switch::parse(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
        let (on, reason) = position(&call.fields(&body)?)?;
        let rules = &call.state.rules;
        let state = rules
            .set_switch(switch, on, &reason, call.change()?)
            .await?;
        Ok(Reply::json(200, &SwitchBody::from(state)))
    })
    .await
}

pub(super) fn position(fields: &Fields) -> Result<(bool, Remark), Problem> {
    let mut faults = Faults::default();
    let on = match fields.get("on") {
        None | Some(Value::Null) => Err("is required"),
        Some(on) => on.as_bool().ok_or("must be true or false"),
    };
    let on = faults.note("/on", on);
    let reason = reason(&mut faults, fields);
    on.zip(reason).ok_or_else(|| {
        let faults = faults.problem();
        faults.unwrap_or_else(|| Problem::new(Code::InvalidRequest))
    })
}
