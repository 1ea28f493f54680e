//! JSON as the Python tracer writes it: numbers that JSON lacks stand bare in it.
//!
//! Such a body is no JSON, but what is around them can be read; so they are read as null, and found.

use serde_json::Value;

use crate::validate::{Finding, Findings, llm as rules};

/// JSON in which bare `NaN` and `Infinity` stand for null, as the reference writes them; they are found.
pub(super) fn read(body: &[u8], findings: &mut Findings) -> Result<Value, String> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    let mut clean = body.to_vec();
    let (mut is_text, mut is_escaped, mut at, mut found) = (false, false, 0, 0);
    while at < clean.len() {
        match clean[at] {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'N' | b'I' | b'-' => {
                let words = [&b"NaN"[..], b"Infinity", b"-Infinity"];
                if let Some(word) = words.iter().find(|word| clean[at..].starts_with(word)) {
                    let end = at + word.len();
                    // The shortest of them has three letters, and null four.
                    if word.len() == 3 {
                        clean.splice(at..end, *b"null");
                        at += 3;
                    } else {
                        clean[at..end].fill(b' ');
                        clean[at..at + 4].copy_from_slice(b"null");
                        at = end - 1;
                    }
                    found += 1;
                    if found > 1000 {
                        return Err("more than 1000 bare NaN".to_owned());
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    if found == 0 {
        return Err(error);
    }
    let value = serde_json::from_slice(&clean).map_err(|error| error.to_string())?;
    findings.add(Finding {
        rule: &rules::NAN,
        chunk: None,
        span: None,
        field: String::new(),
        detail: format!("{found} of them"),
    });
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn bare_nan_is_read_as_null_and_said() {
        let mut findings = Findings::default();
        let body = br#"{"a": NaN, "b": "NaN \" NaN", "c": [-Infinity, Infinity, 1]}"#;
        assert_eq!(
            read(body, &mut findings),
            Ok(json!({"a": null, "b": "NaN \" NaN", "c": [null, null, 1]}))
        );
        assert_eq!(findings.list[0].rule.id, "llm.nan");
        assert!(read(b"{\"a\": Nothing}", &mut findings).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(prop::sample::select(b"{}[]\":,-NaInfity\\1 ".to_vec()), 0..80)) {
            let _ = read(&body, &mut Findings::default());
        }
    }
}
