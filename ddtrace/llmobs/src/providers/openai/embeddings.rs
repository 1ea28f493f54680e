//! `/embeddings`.

use serde_json::{Value, json};

use super::super::exchange::{Exchange, Failure, Io, Recorded};
use super::super::json::{list, shown, text, truthy};
use super::usage;

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: text(request, "model").to_owned(),
        input: Some(Io::Documents(documents(request.get("input")))),
        ..Exchange::default()
    };
    let format = truthy(request, "encoding_format").cloned();
    let format = format.unwrap_or_else(|| Value::from("float"));
    let is_float = format == "float";
    exchange
        .metadata
        .insert("encoding_format".to_owned(), format);
    if let Some(dimensions) = truthy(request, "dimensions") {
        exchange
            .metadata
            .insert("dimensions".to_owned(), dimensions.clone());
    }
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
        return exchange;
    }
    let answer = response.json();
    exchange.failure = Failure::in_json(&answer);
    let data = list(&answer, "data");
    if let Some(first) = data.first() {
        exchange.is_complete = true;
        let numbers = first.get("embedding").and_then(Value::as_array);
        let size = numbers.filter(|_| is_float).map(Vec::len);
        exchange.output = Some(Io::Value(returned(data.len(), size)));
    }
    if let Some(model) = truthy(&answer, "model") {
        exchange.model_name = shown(model);
    }
    usage::read(&mut exchange, answer.get("usage").unwrap_or(&Value::Null));
    exchange
}

/// Texts, or tokens, one or several.
fn documents(input: Option<&Value>) -> Vec<Value> {
    let document = |input: &Value| json!({"text": shown(input)});
    match input {
        Some(Value::Array(inputs)) if inputs.first().is_some_and(|first| !first.is_number()) => {
            inputs.iter().map(document).collect()
        }
        Some(input) => vec![document(input)],
        None => vec![json!({"text": ""})],
    }
}

/// What is told of embeddings instead of themselves.
pub(in super::super) fn returned(count: usize, size: Option<usize>) -> String {
    match size {
        Some(size) => format!("[{count} embedding(s) returned with size {size}]"),
        None => format!("[{count} embedding(s) returned]"),
    }
}
