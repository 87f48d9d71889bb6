//! Which call takes which role: the one table of it.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use uuid::Uuid;

use crate::operator::Role;

use Role::{Owner, Support, Viewer};

/// Method, path and the least role, in the order of their paths. HEAD is as GET.
const LEAST: &[(&str, &str, Role)] = &[
    ("GET", "/admin/v1/audit", Viewer),
    ("GET", "/admin/v1/audit/export", Viewer),
    ("GET", "/admin/v1/decisions/{id}", Viewer),
    ("GET", "/admin/v1/keys", Viewer),
    ("POST", "/admin/v1/keys/rotate", Owner),
    ("POST", "/admin/v1/keys/{kid}/revoke", Owner),
    ("GET", "/admin/v1/keys/{kid}/sessions", Support),
    ("POST", "/admin/v1/phones/lookup", Support),
    ("POST", "/admin/v1/phones/unlock", Support),
    ("GET", "/admin/v1/rules", Viewer),
    ("POST", "/admin/v1/rules", Support),
    ("GET", "/admin/v1/rules/{id}", Viewer),
    ("DELETE", "/admin/v1/rules/{id}", Support),
    ("DELETE", "/admin/v1/sessions/{id}", Support),
    ("GET", "/admin/v1/switches", Viewer),
    ("PUT", "/admin/v1/switches/{name}", Owner),
    ("DELETE", "/admin/v1/users/{sub}", Owner),
    ("GET", "/admin/v1/users/{sub}/sessions", Support),
    ("DELETE", "/admin/v1/users/{sub}/sessions", Support),
];

/// A call as the table has it.
pub(super) struct Called {
    /// The template of its path; `None` is no path of ours.
    pub(super) route: Option<String>,
    /// Who may make it. What is not in the table is an owner's: a call that somebody forgot to enter is not
    /// everybody's.
    pub(super) least: Role,
    /// The user that it is about.
    pub(super) user: Option<Uuid>,
}

impl Called {
    /// That of a request, by the path that the router goes by: not the one that was typed, in which a letter may
    /// be written as `%61`.
    pub(super) fn of(request: &ServiceRequest) -> Self {
        let routed = request.match_info().as_str();
        let route = request.resource_map().match_pattern(routed);
        let method = match request.method() {
            &Method::HEAD => "GET",
            method => method.as_str(),
        };
        let least = route.as_deref().and_then(|route| least(method, route));
        let user = route.as_deref().and_then(|route| user(route, routed));
        Self {
            route,
            least: least.unwrap_or(Owner),
            user,
        }
    }
}

/// The user that a path names: the segment that is `{sub}` in its template.
fn user(route: &str, path: &str) -> Option<Uuid> {
    let mut segments = route.split('/').zip(path.split('/'));
    let found = segments.find(|(name, _)| *name == "{sub}")?;
    Uuid::try_parse(found.1).ok()
}

/// The least role for a method of a path; `None` = there is no such call.
pub fn least(method: &str, path: &str) -> Option<Role> {
    let found = LEAST.iter().find(|row| row.0 == method && row.1 == path);
    found.map(|row| row.2)
}

/// Every call of the admin API: its method, its path and who may make it.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str, Role)> {
    LEAST.iter().copied()
}
