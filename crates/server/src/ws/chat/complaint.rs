//! What is wrong with a frame, in words for its sender.

use lychgate_core::IdError;

use crate::close::ErrorCode;

/// What is wrong with a frame, in words for its sender, and which of his questions it answers.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) thread: Option<String>,
    pub(super) run: Option<String>,
    pub(super) reference: Option<String>,
}

impl Complaint {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), thread: None, run: None, reference: None }
    }

    pub(super) fn bad_frame(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadFrame, message)
    }

    /// An id that is none.
    pub(super) fn bad_id(field: &str, error: &IdError) -> Self {
        Self::bad_frame(format!("`{field}` {error}."))
    }
}
