//! `GET /v1/admin/openapi.json`: the routes of the admin listener for programs, made from the routes themselves, so that
//! none is missing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::Control;
use super::access::Reader;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Lychgate: the operators' API", description = "docs/admin.md explains every route."),
    tags(
        (name = "operators", description = "Look and steer; a key or a group is needed."),
        (name = "health", description = "For load balancers and Prometheus."),
    )
)]
struct Document;

/// The document without its paths.
pub(in crate::api) fn describe() -> OpenApi {
    let mut document = Document::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("lychgate_...")
        .description(Some(
            "A key that `lychgate admin-key NAME` made, or the token of somebody in a group of operators.",
        ))
        .build();
    document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    document
}

/// This document.
#[utoipa::path(
    get, path = "/v1/admin/openapi.json", tag = "operators", security(("key" = [])),
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json"))
)]
pub(in crate::api) async fn serve(_: Reader, State(control): State<Arc<Control>>) -> Response {
    let document = control.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

impl Control {
    /// Keeps the document of all routes of the listener.
    pub(in crate::api) fn documents(&self, document: &OpenApi) {
        let text = serde_json::to_vec_pretty(document).expect("a document of text and lists always serialises");
        // Whoever assembles the routes twice gets the same document.
        let _ = self.document.set(text.into());
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;
    use utoipa::{PartialSchema, ToSchema};

    use crate::wire::admin::{
        AgentList, AlertList, ClusterView, DecisionPage, Draining, Ended, Error, Explained, Lend, LimitInForce, Listed,
        Me, NodeView, PublishBody, Reclaim, Reclaimed, Revoke, Revoked, UserPage,
    };
    use crate::wire::http::{Publish, Published};

    /// The example of a body is read as that body, and every field of it is one that we know.
    fn example_of<T: ToSchema + PartialSchema + DeserializeOwned + Serialize>() -> Value {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let example = schema["example"].clone();
        let read: T = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{}: {error}", T::name()));
        let mut written = serde_json::to_value(read).unwrap();
        if let Some(fields) = written.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        assert_eq!(written, example, "{}", T::name());
        example
    }

    #[test]
    fn every_example_is_what_it_is_an_example_of() {
        example_of::<AgentList>();
        example_of::<AlertList>();
        example_of::<ClusterView>();
        example_of::<DecisionPage>();
        example_of::<Draining>();
        example_of::<Ended>();
        example_of::<Error>();
        example_of::<Explained>();
        example_of::<Lend>();
        example_of::<LimitInForce>();
        example_of::<Listed>();
        example_of::<Me>();
        example_of::<NodeView>();
        example_of::<Reclaim>();
        example_of::<Reclaimed>();
        example_of::<Revoke>();
        example_of::<Revoked>();
        example_of::<UserPage>();
        example_of::<Published>();
        let publication = example_of::<PublishBody>().to_string();
        assert_eq!(Publish::parse(publication.as_bytes()).unwrap().events.len(), 1);
    }
}
