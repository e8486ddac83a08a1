//! Signing in and out: a token once, a cookie from then on.
//!
//! Must not compare tokens or make cookies; that is `access`. There is nothing to slow down: tokens have 256 bits.

use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT, LOCATION, SET_COOKIE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::small;
use crate::api::{
    ApiState,
    access::{Caller, Refusal},
    error::{ApiError, Refused},
    extract::{Params, Whole},
};

/// Who the host takes this client for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// `admin`: may do all; `read`: may GET.
    pub access: String,
}

impl Session {
    fn of(caller: Caller) -> Self {
        Self { access: caller.as_str().to_owned() }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Link {
    /// The text of `admin.token` or `read.token`. Absent: the page asks for it.
    token: Option<String>,
}

/// A token, as a form sends it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described: a form is read by hand")]
pub struct Form {
    token: String,
}

/// Signs in by a link, as `skep up` prints it, and leads to the page.
#[utoipa::path(get, path = "/login", operation_id = "login_link", tag = "page", security(()), params(Link), responses(
    (status = 303, description = "Signed in: the cookie is set, and the page is at `/`"),
    (status = 401, description = "This host does not know the token; a page that says so", body = String, content_type = "text/html")))]
pub async fn link(State(state): State<ApiState>, headers: HeaderMap, Params(link): Params<Link>) -> Response {
    match link.token {
        None => to_the_page(None),
        Some(token) => sign_in(&state, &headers, &token),
    }
}

/// Signs in by a form with the field `token`.
///
/// With `Accept: application/json` the answer is JSON: who signed in, or the error.
#[utoipa::path(post, path = "/login", operation_id = "login", tag = "page", security(()),
    request_body(content = Form, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "Signed in, for who asked for JSON", body = Session),
    (status = 303, description = "Signed in: the cookie is set, and the page is at `/`"),
    (status = 401, description = "This host does not know the token", body = String, content_type = "text/html")))]
pub async fn form(State(state): State<ApiState>, headers: HeaderMap, Whole(body): Whole) -> Response {
    let field = form_urlencoded::parse(&body).find(|(name, _)| name == "token");
    sign_in(&state, &headers, &field.map(|(_, token)| token).unwrap_or_default())
}

/// Signs out: takes the cookie away and leads to the page. With `Accept: application/json` there is no content.
#[utoipa::path(post, path = "/logout", operation_id = "logout", tag = "page", security(()), responses(
    (status = 204, description = "Signed out, for who asked for JSON"),
    (status = 303, description = "Signed out; the page is at `/`")))]
pub async fn logout(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let cookie = state.access.sign_out(&headers);
    if wants_json(&headers) { with(StatusCode::NO_CONTENT.into_response(), SET_COOKIE, &cookie) } else { to_the_page(Some(&cookie)) }
}

/// Whom this host takes you for.
#[utoipa::path(get, path = "/api/v1/session", operation_id = "get_session", tag = "page",
    responses((status = 200, description = "What you may do", body = Session), Refused))]
pub async fn session(Extension(caller): Extension<Caller>) -> Json<Session> {
    Json(Session::of(caller))
}

fn sign_in(state: &ApiState, headers: &HeaderMap, token: &str) -> Response {
    match (state.access.sign_in(token, headers), wants_json(headers)) {
        (Some((caller, cookie)), true) => with(Json(Session::of(caller)).into_response(), SET_COOKIE, &cookie),
        (Some((_, cookie)), false) => to_the_page(Some(&cookie)),
        (None, true) => Refusal::WrongToken.into_response(),
        (None, false) => with(wrong_token(), WWW_AUTHENTICATE, "Bearer"),
    }
}

fn wrong_token() -> Response {
    small::page(
        StatusCode::UNAUTHORIZED,
        "skep: not signed in",
        "<h1>This host does not know that token</h1>\n\
         <p>It is the text of <code>admin.token</code> (may do all) or <code>read.token</code> (may look) in the data folder of this host, \
         which <code>skep up</code> prints as a link when it starts.</p>\n\
         <form method=\"post\" action=\"/login\"><label>Token <input name=\"token\" type=\"password\" autocomplete=\"current-password\" \
         required></label> <button>Sign in</button></form>\n",
    )
}

fn to_the_page(cookie: Option<&str>) -> Response {
    let response = with(StatusCode::SEE_OTHER.into_response(), LOCATION, "/");
    match cookie {
        Some(cookie) => with(response, SET_COOKIE, cookie),
        None => response,
    }
}

fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    match HeaderValue::try_from(value) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
            response
        }
        // Neither cookies nor paths of ours hold what a header can't.
        Err(error) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|kind| kind.eq_ignore_ascii_case("application/json"))
}
