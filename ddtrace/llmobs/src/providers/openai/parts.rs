//! The parts that a message's content may consist of: text, images, sound.

use serde_json::{Value, json};

use super::super::json::{text, truthy};

const IMAGE: &str = "[image]";
const IMAGE_TOO_LARGE: &str = "[image omitted: too large]";
const AUDIO: &str = "[audio]";

/// What a list of parts comes to.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The texts, and what stands for the parts that are not kept.
    pub(super) texts: Vec<String>,
    audio: Vec<Value>,
    images: Vec<Value>,
}

impl Parts {
    /// The parts of a message of the chat API.
    pub(super) fn of_chat(parts: &[Value], limit: usize) -> Self {
        let mut found = Self::default();
        for part in parts {
            match text(part, "type") {
                "text" => found.texts.push(text(part, "text").to_owned()),
                "image_url" => {
                    let image = part.get("image_url").unwrap_or(&Value::Null);
                    let url = image.get("url").unwrap_or(image);
                    found.add_image(url, limit, || IMAGE.to_owned());
                }
                "input_audio" => {
                    let audio = part.get("input_audio").unwrap_or(&Value::Null);
                    let data = text(audio, "data");
                    if data.is_empty() || data.len() > limit {
                        found.texts.push(AUDIO.to_owned());
                    } else {
                        found.audio.push(audio_part(data, text(audio, "format")));
                    }
                }
                other => found.texts.push(format!("[{other}]")),
            }
        }
        found
    }

    /// Keeps an image that is in the address itself; otherwise `reference` stands for it.
    pub(super) fn add_image(
        &mut self,
        url: &Value,
        limit: usize,
        reference: impl FnOnce() -> String,
    ) {
        match inline_image(url.as_str().unwrap_or_default(), limit) {
            Inline::Image(part) => self.images.push(part),
            Inline::Unusable(marker) => self.texts.push(marker.to_owned()),
            Inline::Elsewhere => self.texts.push(reference()),
        }
    }

    /// Puts images and sound into a message. Says whether there were images.
    pub(super) fn attach(self, message: &mut Value) -> bool {
        if !self.audio.is_empty() {
            message["audio_parts"] = Value::from(self.audio);
        }
        let has_images = !self.images.is_empty();
        if has_images {
            message["image_parts"] = Value::from(self.images);
        }
        has_images
    }
}

/// A sound, with the media type of the format that OpenAI names.
pub(super) fn audio_part(data: &str, format: &str) -> Value {
    let format = format.trim().to_ascii_lowercase();
    let mime_type = match format.as_str() {
        "" | "wav" => "audio/wav".to_owned(),
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    json!({"mime_type": mime_type, "content": data})
}

/// What stands for an image that is elsewhere: its address or the file's id, never content.
pub(super) fn image_reference(part: &Value) -> String {
    let image = part.get("image_url").unwrap_or(&Value::Null);
    let url = image.get("url").unwrap_or(image);
    let found = url.as_str().filter(|url| !url.is_empty());
    match found.or_else(|| truthy(part, "file_id").and_then(Value::as_str)) {
        Some(reference) if !is_data(reference) => reference.to_owned(),
        _ => IMAGE.to_owned(),
    }
}

/// What stands for a file.
pub(super) fn file_reference(part: &Value) -> String {
    ["file_url", "file_id", "filename"]
        .into_iter()
        .map(|key| text(part, key))
        .find(|reference| !reference.is_empty())
        .unwrap_or("[file]")
        .to_owned()
}

enum Inline {
    /// It is here, and kept.
    Image(Value),
    /// It is here, and not kept.
    Unusable(&'static str),
    /// It is not in the address.
    Elsewhere,
}

fn inline_image(url: &str, limit: usize) -> Inline {
    if !is_data(url) {
        return Inline::Elsewhere;
    }
    let Some((mime_type, data)) = base64_image(url.trim_start()) else {
        return Inline::Unusable(IMAGE);
    };
    // Blanks that wrap the data are not counted, but nobody copies megabytes to find that out.
    if data.len() > limit.saturating_mul(8) {
        return Inline::Unusable(IMAGE_TOO_LARGE);
    }
    let content: String = data.split_ascii_whitespace().collect();
    if content.is_empty() {
        Inline::Unusable(IMAGE)
    } else if content.len() > limit {
        Inline::Unusable(IMAGE_TOO_LARGE)
    } else {
        Inline::Image(json!({"mime_type": mime_type, "content": content}))
    }
}

fn is_data(url: &str) -> bool {
    let scheme = url.trim_start().as_bytes().get(..5);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
}

/// Media type and data of `data:image/…;base64,…`.
fn base64_image(url: &str) -> Option<(String, &str)> {
    let (head, data) = url.get(5..)?.split_once(',')?;
    let head = head.to_ascii_lowercase();
    let head = head.strip_suffix(";base64")?;
    let mime_type = head.split(';').next()?;
    let subtype = mime_type.strip_prefix("image/")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+_".contains(&byte);
    let base64 = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace()
    };
    let is_whole = !subtype.is_empty() && subtype.bytes().all(plain) && data.bytes().all(base64);
    is_whole.then(|| (mime_type.to_owned(), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_kept_referred_to_or_left_out() {
        // Address, and: the part's media type and content, or the text in its place.
        type Expected<'a> = Result<(&'a str, &'a str), &'a str>;
        let cases: [(&str, Expected<'_>); 9] = [
            ("data:image/png;base64,QUJD", Ok(("image/png", "QUJD"))),
            (
                " DATA:image/PNG;charset=utf-8;base64,QU\r\n JD",
                Ok(("image/png", "QUJD")),
            ),
            ("data:image/png;base64,", Err("[image]")),
            ("data:image/svg,<svg/>", Err("[image]")),
            ("data:text/html;base64,QUJD", Err("[image]")),
            ("data:image/png;base64,QU<JD", Err("[image]")),
            (
                "data:image/png;base64,QUJDREVGR0g",
                Err("[image omitted: too large]"),
            ),
            ("https://example.com/cat.png", Err("[image]")),
            ("", Err("[image]")),
        ];
        for (url, expected) in cases {
            let parts = [json!({"type": "image_url", "image_url": {"url": url}})];
            let found = Parts::of_chat(&parts, 10);
            let mut message = json!({});
            match expected {
                Ok((mime_type, content)) => {
                    assert!(found.texts.is_empty(), "{url}");
                    assert!(found.attach(&mut message));
                    let part = json!([{"mime_type": mime_type, "content": content}]);
                    assert_eq!(message["image_parts"], part, "{url}");
                }
                Err(marker) => {
                    assert_eq!(found.texts, [marker], "{url}");
                    assert!(!found.attach(&mut message));
                }
            }
        }
    }
}
