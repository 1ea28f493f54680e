//! `/llm_observability/…`: trees of spans, and datasets.
//!
//! A tree is one nested JSON value; it is gone through depth first, so nothing has to be remembered between requests.

use ddtrace::llmobs::experiments::{Dataset, Push, Record, wait};
use ddtrace::llmobs::{self, Annotation, ExportedSpan, Kind, LlmSpan, Prompt};
use serde_json::{Value, json};

use crate::http::Answer;

pub(crate) fn answer(method: &str, path: &str, body: &Value) -> Option<Answer> {
    let result = match (method, path) {
        ("POST", "/llm_observability/trace") => trace(body),
        ("POST", "/llm_observability/dataset/create") => create_dataset(body),
        ("POST", "/llm_observability/dataset/delete") => delete_dataset(body),
        _ => return None,
    };
    Some(match result {
        Ok(value) => Answer::Json(value),
        Err(error) => Answer::Unknown(error),
    })
}

fn trace(body: &Value) -> Result<Value, String> {
    let mut exported = None;
    node(&body["trace_structure_request"], &mut exported)?;
    llmobs::flush();
    Ok(exported.map_or_else(|| json!({}), |span: ExportedSpan| json!(span)))
}

fn text<'a>(request: &'a Value, key: &str) -> Option<&'a str> {
    request[key].as_str()
}

fn list<'a>(request: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    request[key].as_array().into_iter().flatten()
}

fn node(request: &Value, exported: &mut Option<ExportedSpan>) -> Result<(), String> {
    match (text(request, "type"), text(request, "sdk")) {
        (Some("annotation_context"), _) => context(request, exported),
        (_, Some("tracer")) => {
            let name = text(request, "name").unwrap_or("span").to_owned();
            let mut span = ddtrace::Span::builder(name).start();
            let _active = span.enter();
            children(request, exported)
        }
        _ => span(request, exported),
    }
}

fn children(request: &Value, exported: &mut Option<ExportedSpan>) -> Result<(), String> {
    list(request, "children").try_for_each(|child| node(child, exported))
}

fn context(request: &Value, exported: &mut Option<ExportedSpan>) -> Result<(), String> {
    let mut said = annotation(request)?;
    if let Some(name) = text(request, "name") {
        said = said.name(name);
    }
    llmobs::annotation_context(said).scope(|| children(request, exported))
}

fn span(request: &Value, exported: &mut Option<ExportedSpan>) -> Result<(), String> {
    let kind = text(request, "kind").and_then(Kind::parse);
    let mut builder = llmobs::span(kind.ok_or("expected a kind of span")?);
    if let Some(name) = text(request, "name") {
        builder = builder.name(name.to_owned());
    }
    if let Some(id) = text(request, "session_id") {
        builder = builder.session_id(id);
    }
    if let Some(app) = text(request, "ml_app") {
        builder = builder.ml_app(app);
    }
    if let Some(name) = text(request, "model_name") {
        builder = builder.model_name(name);
    }
    if let Some(name) = text(request, "model_provider") {
        builder = builder.model_provider(name);
    }
    let mut span = builder.start();
    let handle = span.handle();
    let annotates_after = request["annotate_after"].as_bool() == Some(true);
    {
        let current = span.handle();
        let _active = span.enter();
        if !annotates_after {
            annotate(request, current.as_ref())?;
        }
        let export = match text(request, "export_span") {
            Some("explicit") => current,
            Some(_) => llmobs::current(),
            None => None,
        };
        if let (None, Some(handle)) = (&exported, export) {
            *exported = Some(handle.export());
        }
        children(request, exported)?;
    }
    LlmSpan::finish(span);
    if annotates_after {
        annotate(request, handle.as_ref())?;
    }
    Ok(())
}

fn annotate(request: &Value, span: Option<&llmobs::Handle>) -> Result<(), String> {
    for asked in list(request, "annotations") {
        let said = annotation(asked)?;
        let is_explicit = asked["explicit_span"].as_bool() == Some(true);
        let is_after = request["annotate_after"].as_bool() == Some(true);
        let result = match span {
            Some(span) if is_explicit || is_after => span.annotate(said),
            _ => llmobs::annotate(said),
        };
        result.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn annotation(request: &Value) -> Result<Annotation, String> {
    let mut said = Annotation::new();
    let given = |key: &str| {
        Some(&request[key])
            .filter(|value| !value.is_null())
            .cloned()
    };
    if let Some(input) = given("input_data") {
        said = said.input(input);
    }
    if let Some(output) = given("output_data") {
        said = said.output(output);
    }
    let pairs = |key: &str| request[key].as_object().into_iter().flatten();
    for (key, value) in pairs("metadata") {
        said = said.metadata(key, value.clone());
    }
    for (key, value) in pairs("metrics") {
        said = said.metric(key, value.as_f64().ok_or("expected numbers as metrics")?);
    }
    for (key, value) in pairs("tags") {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        said = said.tag(key, value);
    }
    if request["cost_tags"].is_array() {
        // What is no text has no place in the interface.
        said = said.cost_tags(list(request, "cost_tags").filter_map(Value::as_str));
    }
    if let Some(prompt) = given("prompt") {
        said = said.prompt(Prompt::try_from(prompt).map_err(|error| error.to_string())?);
    }
    Ok(said)
}

fn create_dataset(body: &Value) -> Result<Value, String> {
    let name = text(body, "dataset_name").ok_or("expected the name of a dataset")?;
    let description = text(body, "description").unwrap_or_default();
    let create = Dataset::create(name, description, text(body, "project_name"));
    let mut dataset = wait(create).map_err(|error| error.to_string())?;
    for record in list(body, "records") {
        let record = Record {
            input: record["input_data"].clone(),
            expected_output: record.get("expected_output").cloned(),
            metadata: record["metadata"].as_object().cloned(),
            ..Record::default()
        };
        dataset.append(record).map_err(|error| error.to_string())?;
    }
    if !dataset.records().is_empty() {
        wait(dataset.push(Push::default())).map_err(|error| error.to_string())?;
    }
    let records = dataset.records().iter().map(|record| {
        json!({
            "record_id": record.record_id, "input_data": record.input, "expected_output": record.expected_output,
            "metadata": record.metadata,
        })
    });
    Ok(json!({
        "dataset_id": dataset.id(), "name": dataset.name, "description": dataset.description,
        "project_name": dataset.project.name, "project_id": dataset.project.id, "version": dataset.version(),
        "latest_version": dataset.latest_version(), "records": records.collect::<Vec<_>>(),
    }))
}

fn delete_dataset(body: &Value) -> Result<Value, String> {
    let id = text(body, "dataset_id").ok_or("expected the id of a dataset")?;
    wait(Dataset::delete(id)).map_err(|error| error.to_string())?;
    Ok(json!({ "success": true }))
}
