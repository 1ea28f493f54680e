//! `POST /telemetry/proxy/api/v2/apmtelemetry`, JSON: what the library says of itself.
//!
//! Read here: who it is, and how many chunks it says it lost. The pages of the library come with their issue.

use serde_json::Value;

use crate::store::counts::Client;

/// What a message says.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Who sent it.
    pub client: Client,
    /// Chunks that the library lost.
    pub dropped: u64,
}

/// Reads a message, or a batch of them.
pub fn read(body: &[u8]) -> Result<Telemetry, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let application = &value["application"];
    let client = Client {
        runtime_id: text(&value["runtime_id"]),
        service: text(&application["service_name"]),
        env: text(&application["env"]),
        app_version: text(&application["service_version"]),
        language: text(&application["language_name"]),
        language_version: text(&application["language_version"]),
        tracer_version: text(&application["tracer_version"]),
        telemetry: true,
        ..Client::default()
    };
    if !value["request_type"].is_string() {
        return Err("request_type is missing".into());
    }
    let dropped = match value["request_type"].as_str() {
        Some("message-batch") => value["payload"].as_array().map_or(0, |messages| {
            messages
                .iter()
                .map(|message| dropped(&message["request_type"], &message["payload"]))
                .sum()
        }),
        _ => dropped(&value["request_type"], &value["payload"]),
    };
    Ok(Telemetry { client, dropped })
}

fn dropped(request_type: &Value, payload: &Value) -> u64 {
    if request_type != "generate-metrics" {
        return 0;
    }
    let series = payload["series"].as_array().map_or(&[][..], Vec::as_slice);
    let lost = |series: &&Value| {
        let names = |tags: &Value| {
            tags.as_array()
                .is_some_and(|tags| tags.iter().any(|tag| tag == "reason:p0_drop"))
        };
        series["metric"] == "trace_chunks_dropped" && !names(&series["tags"])
    };
    let points = series
        .iter()
        .filter(lost)
        .filter_map(|series| series["points"].as_array())
        .flatten();
    points
        .filter_map(|point| point[1].as_f64())
        .map(|n| n.max(0.0) as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_chunks_are_added_up_and_sampled_ones_are_not() {
        let body = br#"{"request_type": "message-batch", "runtime_id": "r", "application": {"service_name": "shop"}, "payload": [
            {"request_type": "app-heartbeat", "payload": {}},
            {"request_type": "generate-metrics", "payload": {"series": [
                {"metric": "trace_chunks_dropped", "tags": ["reason:full"], "points": [[1, 2], [2, 3]]},
                {"metric": "trace_chunks_dropped", "tags": ["reason:p0_drop"], "points": [[1, 50]]},
                {"metric": "spans_created", "points": [[1, 9]]}]}}]}"#;
        let telemetry = read(body).unwrap();
        assert_eq!(
            (telemetry.dropped, telemetry.client.service.as_str()),
            (5, "shop")
        );
        assert!(read(b"{}").is_err());
        assert!(read(b"[").is_err());
    }
}
