//! `PUT /v0.3/traces` and `/v0.4/traces`, `application/json`: the same arrays and maps as in msgpack.

use super::model::{Chunk, Payload, Span};
use serde_json::Value;

/// Reads a payload; the error is a sentence that says where.
pub fn read(body: &[u8]) -> Result<Payload<'static>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut payload = Payload::default();
    for (c, chunk) in list(&value, || "the payload".into())?.iter().enumerate() {
        let begin = payload.spans.len();
        for (s, span) in list(chunk, || format!("chunk {c}"))?.iter().enumerate() {
            let span = read_span(span, &mut payload)
                .map_err(|what| format!("chunk {c}, span {s}: {what}"))?;
            payload.spans.push(span);
        }
        payload.chunks.push(Chunk {
            spans: begin..payload.spans.len(),
            ..Chunk::default()
        });
    }
    Ok(payload)
}

fn list(value: &Value, what: impl Fn() -> String) -> Result<&[Value], String> {
    match value {
        Value::Array(list) => Ok(list),
        Value::Null => Ok(&[]),
        _ => Err(format!("{} is not an array", what())),
    }
}

fn read_span(value: &Value, payload: &mut Payload<'static>) -> Result<Span<'static>, String> {
    let map = value.as_object().ok_or("not an object")?;
    let mut span = Span::default();
    for (key, value) in map {
        let text = || match value {
            Value::String(text) => Ok(text.clone().into()),
            Value::Null => Ok("".into()),
            _ => Err(format!("{key} is not a text")),
        };
        let integer = || {
            value
                .as_u64()
                .or_else(|| value.as_i64().map(|n| n as u64))
                .ok_or_else(|| format!("{key} is not an integer"))
        };
        match key.as_str() {
            "service" => span.service = text()?,
            "name" => span.name = text()?,
            "resource" => span.resource = text()?,
            "type" => span.span_type = text()?,
            "trace_id" => span.trace_id = integer()?,
            "span_id" => span.span_id = integer()?,
            "parent_id" if value.is_null() => {}
            "parent_id" => span.parent_id = integer()?,
            "start" => span.start = integer()? as i64,
            "duration" => span.duration = integer()? as i64,
            "error" => span.error = integer()? as i32,
            "meta" if value.is_object() => {
                let begin = payload.meta.len();
                for (key, value) in value.as_object().into_iter().flatten() {
                    let value = value
                        .as_str()
                        .ok_or_else(|| format!("meta[{key:?}] is not a text"))?;
                    payload
                        .meta
                        .push((key.clone().into(), value.to_owned().into()));
                }
                span.meta = begin..payload.meta.len();
            }
            "metrics" if value.is_object() => {
                let begin = payload.metrics.len();
                for (key, value) in value.as_object().into_iter().flatten() {
                    let value = value
                        .as_f64()
                        .ok_or_else(|| format!("metrics[{key:?}] is not a number"))?;
                    payload.metrics.push((key.clone().into(), value));
                }
                span.metrics = begin..payload.metrics.len();
            }
            _ => {}
        }
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_json_reads_as_one_of_msgpack() {
        let body = br#"[[{"trace_id":18446744073709551615,"span_id":-1,"name":"a","meta":{"k":"v"},"metrics":{"n":2}}]]"#;
        let payload = read(body).unwrap();
        assert_eq!(
            (payload.spans[0].trace_id, payload.spans[0].span_id),
            (u64::MAX, u64::MAX)
        );
        assert_eq!(payload.tag(&payload.spans[0], "k"), Some("v"));
        assert_eq!(payload.metric(&payload.spans[0], "n"), Some(2.0));
    }

    #[test]
    fn errors_say_where() {
        let error = read(br#"[[{"meta":{"k":1}}]]"#).unwrap_err();
        assert_eq!(error, "chunk 0, span 0: meta[\"k\"] is not a text");
    }
}
