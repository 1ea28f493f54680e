//! `POST /api/v2/citestcov`, `multipart/form-data`: which lines each test ran.
//!
//! Part `coverage1` is MessagePack: `{version: 2, coverages: [{test_session_id, test_suite_id,
//! span_id?, files: [{filename, bitmap}]}]}`. Part `event` is there because the intake wants one.

use bytes::Bytes;
use ddtrace_core::base64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::citestcycle::{array, bytes, map, number, text};
use super::multipart::{Form, Part};
use crate::coverage::Bitmap;

/// The lines of a file that a test ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    /// The file, relative to the root of the repository, with `/` between its parts.
    pub file: String,
    /// The lines.
    pub lines: Bitmap,
}

/// What a test, or a suite, ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The session.
    pub session_id: u64,
    /// The suite.
    pub suite_id: u64,
    /// The last run of the test; none for a suite.
    pub span_id: Option<u64>,
    /// The files.
    pub files: Vec<FileCoverage>,
}

impl Coverage {
    /// The name on the wire begins with a slash.
    fn name(file: &FileCoverage) -> String {
        format!("/{}", file.file.trim_start_matches('/'))
    }

    /// Writes it as MessagePack.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        map(&mut out, 3 + usize::from(self.span_id.is_some()));
        text(&mut out, "test_session_id");
        number(&mut out, self.session_id);
        text(&mut out, "test_suite_id");
        number(&mut out, self.suite_id);
        if let Some(span_id) = self.span_id {
            text(&mut out, "span_id");
            number(&mut out, span_id);
        }
        text(&mut out, "files");
        array(&mut out, self.files.len());
        for file in &self.files {
            map(&mut out, 2);
            text(&mut out, "filename");
            text(&mut out, &Self::name(file));
            text(&mut out, "bitmap");
            bytes(&mut out, file.lines.as_bytes());
        }
        out
    }

    /// Writes it as JSON, bitmaps in base64.
    pub fn to_json(&self) -> Vec<u8> {
        let file = |file: &FileCoverage| json!({"filename": Self::name(file), "bitmap": base64::encode(file.lines.as_bytes())});
        let mut coverage = json!({
            "test_session_id": self.session_id, "test_suite_id": self.suite_id,
            "files": self.files.iter().map(file).collect::<Vec<Value>>(),
        });
        if let Some(span_id) = self.span_id {
            coverage["span_id"] = Value::from(span_id);
        }
        coverage.to_string().into_bytes()
    }
}

/// The MessagePack of these written coverages.
pub(super) fn msgpack(coverages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + coverages.iter().map(Vec::len).sum::<usize>());
    map(&mut out, 2);
    text(&mut out, "version");
    number(&mut out, 2);
    text(&mut out, "coverages");
    array(&mut out, coverages.len());
    for coverage in coverages {
        out.extend_from_slice(coverage);
    }
    out
}

/// The whole body of a request.
pub(super) fn form(coverages: &[Vec<u8>]) -> Form {
    Form::of(&[
        Part {
            name: "coverage1",
            file_name: Some("coverage1.msgpack"),
            content_type: "application/msgpack",
            data: Bytes::from(msgpack(coverages)),
        },
        Part {
            name: "event",
            file_name: Some("event.json"),
            content_type: "application/json",
            data: Bytes::from_static(br#"{"dummy":true}"#),
        },
    ])
}
