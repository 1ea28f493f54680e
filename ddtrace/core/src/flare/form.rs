//! `multipart/form-data` (RFC 7578).

use std::hash::{BuildHasher, RandomState};

/// A form with texts and a file.
pub(super) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    /// A form with these texts.
    pub(super) fn new(fields: &[(&str, &str)]) -> Form {
        // Random, so that nobody who chooses a value can end it early.
        let random = |salt: u8| RandomState::new().hash_one((salt, std::process::id()));
        let boundary = format!("----ddtrace-{:016x}{:016x}", random(1), random(2));
        let mut form = Form {
            boundary,
            body: Vec::new(),
        };
        for (name, value) in fields {
            form.begin(&format!(
                "Content-Disposition: form-data; name=\"{name}\"\r\n"
            ));
            form.end(value.as_bytes());
        }
        form
    }

    /// Adds a file of bytes. Neither name may have quotes or line ends in it.
    pub(super) fn with_file(mut self, name: &str, file_name: &str, content: &[u8]) -> Form {
        self.begin(&format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n"
        ));
        self.end(content);
        self
    }

    fn begin(&mut self, headers: &str) {
        self.body.extend_from_slice(b"--");
        self.body.extend_from_slice(self.boundary.as_bytes());
        self.body.extend_from_slice(b"\r\n");
        self.body.extend_from_slice(headers.as_bytes());
        self.body.extend_from_slice(b"\r\n");
    }

    fn end(&mut self, content: &[u8]) {
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The value of the header `Content-Type`.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The finished body.
    pub(super) fn body(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"--");
        self.body.extend_from_slice(self.boundary.as_bytes());
        self.body.extend_from_slice(b"--\r\n");
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_boundaries() {
        let form = Form::new(&[("case_id", "123")]).with_file("flare_file", "a.zip", b"PK\r\n");
        let content_type = form.content_type();
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap()
            .to_owned();
        let body = String::from_utf8(form.body()).unwrap();
        assert_eq!(
            body,
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"case_id\"\r\n\r\n123\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"flare_file\"; filename=\"a.zip\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\nPK\r\n\r\n--{boundary}--\r\n"
            )
        );
        assert!(boundary.len() <= 70, "RFC 2046, 5.1.1");
    }
}
