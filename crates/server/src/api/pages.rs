//! The pages: the chat for users and the console for operators, made by `cargo xtask web` and part of the program.
//!
//! ```text
//! listener for users:  GET /             chat.html      } read again by every visit (ETag)
//! admin listener:      GET /console      console.html   }
//! both:                GET /assets/{..}  what they load, named by its contents: kept for a year
//! ```
//!
//! A release holds them inside; a build of the dev profile reads `console/dist` when it is asked, so that a page is seen
//! as soon as it is built. Nothing is loaded from another origin, and nothing inline runs.

use axum::Router;
use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::compression::CompressionLayer;

use super::error_response;
use crate::close::ErrorCode;
use crate::config::Web;

/// What npm built, below a directory that is there in every checkout: one that appears only later would not be found.
#[derive(RustEmbed)]
#[folder = "../../console"]
#[include = "dist/*"]
struct Built;

/// Scripts, styles, requests and workers of this origin alone; images of ours and those that a script draws; nobody
/// frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     font-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page is asked for again each time, and answered with 304 where it is still the same.
const ASK_AGAIN: &str = "no-cache";

/// The name of an asset changes with its contents (RFC 8246).
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const CHAT: &str = "dist/chat.html";
const CONSOLE: &str = "dist/console.html";

const HOW_TO_BUILD: &str = "This build has no pages: run `cargo xtask web` (it needs Node.js and npm) and build again to get the chat and the console.";

/// What somebody is told who would see the chat page, had it been built.
pub(super) fn note(web: Web) -> Option<&'static str> {
    (web.chat && Built::get(CHAT).is_none()).then_some(HOW_TO_BUILD)
}

/// The chat page in the place of `front`, the page without a script, which is left for builds and configurations without
/// the chat.
pub(super) fn chat(web: Web, front: Router) -> Router {
    let instead = |request: Request, next: Next| async {
        match show(CHAT, request.headers()) {
            Some(page) => page,
            None => next.run(request).await,
        }
    };
    match web.chat {
        true => front.route_layer(from_fn(instead)).merge(assets()).layer(CompressionLayer::new()),
        false => front,
    }
}

/// The console, to which `/` leads: in the place of `front`, the page without a script for a login.
pub(super) fn console(web: Web, front: Router) -> Router {
    let instead = |request: Request, next: Next| async {
        match Built::get(CONSOLE) {
            Some(_) => Redirect::to("/console").into_response(),
            None => next.run(request).await,
        }
    };
    let console = |headers: HeaderMap| async move {
        show(CONSOLE, &headers).unwrap_or_else(|| (StatusCode::NOT_FOUND, HOW_TO_BUILD).into_response())
    };
    match web.console {
        true => {
            let pages = Router::new().route("/console", get(console)).merge(assets());
            front.route_layer(from_fn(instead)).merge(pages.layer(CompressionLayer::new()))
        }
        false => front,
    }
}

fn assets() -> Router {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    match is_of_a_file(&name).then(|| Built::get(&format!("dist/assets/{name}"))).flatten() {
        Some(file) => answer(file, FOR_EVER),
        None => error_response(ErrorCode::NotFound),
    }
}

/// Whether it can be the name of an asset, which lie all in one directory: a path that leads elsewhere would be followed
/// where files are read when they are asked for.
fn is_of_a_file(name: &str) -> bool {
    !name.contains("..") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A page, or that the browser has it already; none where it was not built.
fn show(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Built::get(name)?;
    let page = answer(file, ASK_AGAIN);
    let tag = page.headers().get(ETAG);
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| Some(known) == tag);
    Some(match is_known {
        true => (StatusCode::NOT_MODIFIED, page.headers().clone()).into_response(),
        false => page,
    })
}

fn answer(file: EmbeddedFile, keep: &'static str) -> Response {
    // Weak, as the body may be compressed on its way (RFC 9110, section 8.8.1).
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let text =
        |value: &str| HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers: [(HeaderName, HeaderValue); 6] = [
        (CONTENT_TYPE, text(file.metadata.mimetype())),
        (ETAG, text(&format!("W/\"{hash}\""))),
        (CACHE_CONTROL, HeaderValue::from_static(keep)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Without a referrer a browser would send `Origin: null` with our own forms, which are refused then.
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, file.data.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_nothing_inline_and_nothing_of_another_origin_in() {
        for forbidden in ["unsafe", "http", "*", "blob:"] {
            assert!(!POLICY.contains(forbidden), "{forbidden}");
        }
        assert!(POLICY.starts_with("default-src 'none'"), "{POLICY}");
        assert!(HeaderValue::from_str(POLICY).is_ok());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_asset() {
        assert!(is_of_a_file("chat-B03It_0A.js"));
        for name in ["..", "../chat.html", "..\\x", "a/b.js", "/etc/passwd", "%2e%2e", "a\0"] {
            assert!(!is_of_a_file(name), "{name}");
        }
    }

    #[test]
    fn whoever_switched_the_chat_off_is_not_told_how_to_get_it() {
        assert_eq!(note(Web { chat: false, console: true }), None);
        assert_eq!(note(Web { chat: true, console: true }).is_some(), Built::get(CHAT).is_none());
    }
}
