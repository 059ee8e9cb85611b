//! The parts of a person's message, each built anew: nothing that a client wrote reaches the endpoint but what is read here.
//!
//! An endpoint fetches the addresses that it is given, from inside of the operator's network, and opens files by their ids
//! with the operator's key. Both are the client's to write, so neither is passed on unless the operator says so: a thread
//! must not be a way to read what only the gateway's side may read. What is left out is named, so that the model can say
//! that something was attached.

use serde::Deserialize;
use serde_json::{Value, json};

/// Which attachments reach the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Those whose bytes stand in the message.
    Inline,
    /// Those that it has to fetch or look up as well.
    Remote,
}

/// Where the bytes of a part are: AG-UI's `PartSource`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    value: String,
    #[serde(default)]
    mime_type: Option<String>,
}

/// A part that is in the words of a chat completion already.
#[derive(Deserialize)]
struct Native {
    image_url: Option<Image>,
    input_audio: Option<Audio>,
    file: Option<File>,
}

#[derive(Deserialize)]
struct Image {
    url: String,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Audio {
    data: String,
    format: String,
}

#[derive(Deserialize)]
struct File {
    filename: Option<String>,
    file_data: Option<String>,
    file_id: Option<String>,
}

impl Media {
    pub(super) fn new(remote_media: bool) -> Self {
        if remote_media { Self::Remote } else { Self::Inline }
    }

    /// The part in the words of a chat completion. What has none, or may not be passed on, is a text that names it.
    pub(super) fn part(self, part: &Value) -> Value {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
        let source = part.get("source").and_then(|source| Source::deserialize(source).ok());
        let spoken = match (kind, source) {
            ("text", _) => part.get("text").and_then(Value::as_str).map(|text| json!({ "type": "text", "text": text })),
            ("image", Some(source)) => self.address(source.url()).map(|url| image(&url, None)),
            ("audio", Some(source)) => source.audio(),
            ("document", Some(source)) => self.document(&source),
            ("image_url" | "input_audio" | "file", None) => {
                Native::deserialize(part).ok().and_then(|it| self.native(kind, it))
            }
            _ => None,
        };
        spoken.unwrap_or_else(|| json!({ "type": "text", "text": format!("({kind} attachment, not readable here)") }))
    }

    fn native(self, kind: &str, native: Native) -> Option<Value> {
        match (kind, native) {
            ("image_url", Native { image_url: Some(Image { url, detail }), .. }) => {
                self.address(Some(url)).map(|url| image(&url, detail.as_deref()))
            }
            ("input_audio", Native { input_audio: Some(Audio { data, format }), .. }) => Some(audio(&data, &format)),
            ("file", Native { file: Some(File { file_data: Some(data), filename, .. }), .. }) => {
                self.address(Some(data)).map(|data| file(&data, filename.as_deref()))
            }
            ("file", Native { file: Some(File { file_id: Some(id), .. }), .. }) => self.file_id(&id),
            _ => None,
        }
    }

    fn document(self, source: &Source) -> Option<Value> {
        match source.kind.as_str() {
            "file" => self.file_id(&source.value),
            "data" => source.url().map(|data| file(&data, None)),
            _ => None,
        }
    }

    /// An address that may be passed on: `data:`, and on the web where that is wanted. Never another scheme: some
    /// endpoints open `file:`.
    fn address(self, url: Option<String>) -> Option<String> {
        url.filter(|url| {
            let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
            match (self, scheme.as_deref()) {
                (_, Some("data")) | (Self::Remote, Some("http" | "https")) => true,
                (Self::Inline | Self::Remote, _) => false,
            }
        })
    }

    fn file_id(self, id: &str) -> Option<Value> {
        match self {
            Self::Inline => None,
            Self::Remote => Some(json!({ "type": "file", "file": { "file_id": id } })),
        }
    }
}

impl Source {
    fn url(&self) -> Option<String> {
        match (self.kind.as_str(), &self.mime_type) {
            ("url", _) => Some(self.value.clone()),
            ("data", Some(mime_type)) => Some(format!("data:{mime_type};base64,{}", self.value)),
            _ => None,
        }
    }

    fn audio(&self) -> Option<Value> {
        let format = match self.mime_type.as_deref()? {
            "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
            "audio/mpeg" | "audio/mp3" => "mp3",
            _ => return None,
        };
        (self.kind == "data").then(|| audio(&self.value, format))
    }
}

fn image(url: &str, detail: Option<&str>) -> Value {
    match detail {
        Some(detail) => json!({ "type": "image_url", "image_url": { "url": url, "detail": detail } }),
        None => json!({ "type": "image_url", "image_url": { "url": url } }),
    }
}

fn audio(data: &str, format: &str) -> Value {
    json!({ "type": "input_audio", "input_audio": { "data": data, "format": format } })
}

fn file(data: &str, name: Option<&str>) -> Value {
    json!({ "type": "file", "file": { "filename": name.unwrap_or("document"), "file_data": data } })
}
