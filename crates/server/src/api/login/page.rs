//! The small pages of a login: plain HTML without a script, under a policy that would let none run.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::Operations;
use crate::auth::{Identity, LoginError};

/// Nothing is loaded, nothing runs, nobody frames it; forms go back to us.
const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether a person in a browser will read the answer.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// A page of these lines of HTML.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<h1>{title}</h1>\n{body}</html>\n"
    );
    let headers: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Without a referrer a browser would send `Origin: null` with our own forms, which are refused then.
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text).into_response()
}

/// The first page: who is logged in, or how to; and what else there is to say.
pub(super) fn front(operations: &Operations, identity: Option<&Identity>, note: Option<&str>) -> Response {
    let mut body = String::new();
    match identity {
        Some(identity) => {
            let user = escape(identity.user.as_str());
            body.push_str(&format!(
                "<p>You are logged in as <b>{user}</b>.</p>\n\
                 <form method=\"post\" action=\"/v1/logout\"><button>Log out</button></form>\n"
            ));
        }
        None => {
            for provider in operations.providers.list() {
                let title = escape(&provider.title);
                match provider.retry_in {
                    None => body
                        .push_str(&format!("<p><a href=\"/v1/login/{}\">Log in with {title}</a></p>\n", provider.name)),
                    Some(retry_in) => body.push_str(&format!(
                        "<p>{title} did not answer. <a href=\"/v1/login/{}\">Try again</a> in {} s.</p>\n",
                        provider.name,
                        retry_in.as_secs() + 1
                    )),
                }
            }
            if operations.is_demo {
                body.push_str(
                    "<form method=\"post\" action=\"/v1/login/demo\">\n\
                     <p><label>Your name: <input name=\"name\" required maxlength=\"64\"></label> <button>Log in</button></p>\n\
                     <p>This is a demonstration on this machine alone: whoever opens this page can be anybody, without a password.</p>\n\
                     </form>\n",
                );
            }
        }
    }
    if let Some(note) = note {
        body.push_str(&format!("<p>{}</p>\n", escape(note)));
    }
    page(StatusCode::OK, "Lychgate", &body)
}

/// Why a login came to nothing, and what to do.
pub(super) fn failure(status: StatusCode, sentence: &str) -> Response {
    let body = format!("<p>{}</p>\n<p><a href=\"/\">Back to the login</a></p>\n", escape(sentence));
    page(status, "You are not logged in", &body)
}

/// What a person hears; nothing of it is of the provider's or a link's making.
pub(super) fn sentence(error: &LoginError) -> String {
    match error {
        LoginError::UnknownProvider => "There is no login of this name here.".to_owned(),
        LoginError::BadReturn => "The link that brought you here wants to send you on to another site. \
             `return_to` has to be a path of this one, such as /chat."
            .to_owned(),
        LoginError::Unavailable { retry_in, .. } => format!(
            "The login service cannot be reached at the moment. Please try again in {} seconds.",
            retry_in.as_secs() + 1
        ),
        LoginError::Declined(_) => "The login service says that you did not log in. Please try again.".to_owned(),
        LoginError::UnknownState => {
            "This login was finished already, or took longer than ten minutes. Please begin again.".to_owned()
        }
        LoginError::OtherBrowser => "This login was begun in another browser, or this browser accepts no cookies. \
             Please begin again here."
            .to_owned(),
        LoginError::Rejected(_) => {
            "The answer of the login service cannot be trusted, and the operator of this service \
             can see why. Please try again."
                .to_owned()
        }
        LoginError::NotAllowed(_) => {
            "This account may not use this service. Please log in with another one, or ask the \
             operator."
                .to_owned()
        }
        LoginError::BadUser(_) => {
            "Your user id cannot be used here; please tell the operator of this service.".to_owned()
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_user_is_called_becomes_markup() {
        assert_eq!(escape("<b a='1'>\"&\""), "&lt;b a=&#39;1&#39;&gt;&quot;&amp;&quot;");
    }

    #[test]
    fn a_person_gets_a_page_and_a_program_does_not() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            wants_page(&headers)
        };
        assert!(wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wants("application/json") && !wants("*/*"));
    }
}
