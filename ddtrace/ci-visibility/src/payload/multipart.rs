//! `multipart/form-data` (RFC 7578).

use bytes::Bytes;

/// A part of a form. Names are ours, so nothing in them has to be escaped; a file name may come
/// from outside, and loses what would end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of the field.
    pub name: &'a str,
    /// The name of the file, if it is one.
    pub file_name: Option<&'a str>,
    /// The type of the data.
    pub content_type: &'a str,
    /// The data.
    pub data: Bytes,
}

/// A whole form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

impl Form {
    /// A form of these parts.
    pub fn of(parts: &[Part<'_>]) -> Form {
        // Random, so that no data contains it.
        let boundary = format!(
            "{:016x}{:016x}",
            crate::random::number(),
            crate::random::number()
        );
        let size: usize = parts.iter().map(|part| part.data.len() + 256).sum();
        let mut body = Vec::with_capacity(size);
        for part in parts {
            let mut head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
                part.name
            );
            if let Some(file_name) = part.file_name {
                let file_name = file_name.replace(['"', '\r', '\n'], "_");
                head.push_str(&format!("; filename=\"{file_name}\""));
            }
            head.push_str(&format!("\r\nContent-Type: {}\r\n\r\n", part.content_type));
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&part.data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Form {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            body: Bytes::from(body),
        }
    }
}
