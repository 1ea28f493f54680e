//! The product with a real worker, against a server that stands in for the agent and for Datadog.
//!
//! One test, since a process has one tracer; its parts run one after the other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ddtrace_core::worker::Builder;
use ddtrace_llmobs::experiments::{
    BoxError, Dataset, EvaluatorContext, EvaluatorResult, Experiment, Outcome, Push, Record,
    SummaryContext, async_evaluator, evaluator, wait,
};
use ddtrace_llmobs::prompts::{self, PromptDraft, PromptError, Source};
use ddtrace_llmobs::{self as llmobs, Annotation, Assessment, Evaluation, Kind, Metric, span};
use serde_json::{Value, json};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
struct Received {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// Statuses for the next requests whose path contains a text.
    failures: Vec<(String, u16)>,
}

impl Server {
    fn start() -> (Self, SocketAddr) {
        let server = Self::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || while own.converse(&stream).is_some() {});
            }
        });
        (server, address)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn converse(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers
            .get("content-length")
            .and_then(|text| text.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let received = Received {
            body: serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())),
            method,
            path,
            headers,
        };
        let (status, answer) = self.answer(&received);
        self.state().received.push(received);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        (&*stream).write_all((head + &text).as_bytes()).ok()
    }

    fn answer(&self, request: &Received) -> (u16, Value) {
        let path = request.path.as_str();
        let mut state = self.state();
        if let Some(at) = state
            .failures
            .iter()
            .position(|(part, _)| path.contains(part.as_str()))
        {
            return (
                state.failures.remove(at).1,
                json!({ "detail": "by design" }),
            );
        }
        let count = state
            .received
            .iter()
            .filter(|other| other.path == path)
            .count();
        let answer = if path == "/info" {
            json!({ "endpoints": ["/v0.4/traces", "/evp_proxy/v2/"] })
        } else if path.ends_with("/projects") {
            json!({ "data": { "id": "p1" } })
        } else if path.ends_with("/batch_update") {
            let rows = request.body["data"]["attributes"]["insert_records"]
                .as_array()
                .cloned();
            let rows = rows.unwrap_or_default();
            let rows = rows.iter().map(|row| json!({ "id": row["id"], "attributes": { "version": 2, "canonical_id": "c" } }));
            json!({ "data": rows.collect::<Vec<_>>() })
        } else if path.contains("/records?page[cursor]=") {
            json!({ "data": [{ "id": "r2", "attributes": { "input": "two", "tags": ["k:v"] } }] })
        } else if path.contains("/records?") {
            json!({ "data": [{ "id": "r1", "attributes": { "input": "one", "expected_output": "ONE", "canonical_id": "c1" } }], "meta": { "after": "next" } })
        } else if path.contains("/datasets?filter") {
            json!({ "data": [{ "id": "d2", "attributes": { "current_version": 3, "description": "about" } }] })
        } else if path.ends_with("/datasets") {
            json!({ "data": { "id": "d1", "attributes": { "current_version": 0 } } })
        } else if path.ends_with("/experiments") {
            json!({ "data": { "id": "e1", "attributes": { "name": "run" } } })
        } else if path.contains("/prompts/") && request.method == "GET" {
            json!({ "prompt_id": "greet", "version": count + 1, "template": "Hi {{name}}" })
        } else if path.contains("/resolve") {
            json!({ "prompt_id": "greet", "version": 9, "template": "Resolved" })
        } else {
            json!({})
        };
        (200, answer)
    }

    fn fail_next(&self, part: &str, statuses: &[u16]) {
        let failures = statuses.iter().map(|status| (part.to_owned(), *status));
        self.state().failures.extend(failures);
    }

    /// Requests whose path contains a text, once there are so many.
    #[track_caller]
    fn received(&self, part: &str, at_least: usize) -> Vec<Received> {
        let until = Instant::now() + PATIENCE;
        loop {
            let all: Vec<_> = self
                .state()
                .received
                .iter()
                .filter(|it| it.path.contains(part))
                .cloned()
                .collect();
            if all.len() >= at_least {
                return all;
            }
            assert!(Instant::now() < until, "{part}: {all:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn forget(&self) {
        self.state().received.clear();
    }
}

#[test]
fn the_backend_is_sent_and_asked_what_the_reference_sends_and_asks() {
    let (server, address) = Server::start();
    let folder = std::env::temp_dir().join(format!("ddtrace-llmobs-{}", std::process::id()));
    let url = format!("http://{address}");
    let guard = Builder::new()
        .service("svc")
        .agent_url(&url)
        .set("DD_LLMOBS_ENABLED", "true")
        .set("DD_LLMOBS_OVERRIDE_ORIGIN", &*format!("{url}/base"))
        .set("DD_LLMOBS_AGENTLESS_ENABLED", "false")
        .set("DD_LLMOBS_PROJECT_NAME", "project")
        .set("DD_LLMOBS_PROMPTS_CACHE_DIR", &*folder.to_string_lossy())
        .set("DD_LLMOBS_PROMPTS_CACHE_TTL", "0.001")
        .set("DD_API_KEY", "api-key")
        .set("DD_APP_KEY", "app-key")
        .set("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .set("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        .init();
    assert!(llmobs::is_on());

    spans_and_evaluations_arrive(&server);
    what_may_succeed_later_is_tried_again(&server);
    datasets_are_made_changed_and_pulled(&server);
    an_experiment_runs_and_reports(&server);
    prompts_are_fetched_kept_and_changed(&server);

    drop(guard);
    let _ = std::fs::remove_dir_all(folder);
    assert!(
        wait(Dataset::delete("d1")).is_err(),
        "nobody is there any more"
    );
}

fn spans_and_evaluations_arrive(server: &Server) {
    let task = span(Kind::Task).name("t").start();
    let exported = task.export().unwrap();
    task.annotate(Annotation::new().input("in")).unwrap();
    task.finish();
    Evaluation::new("good", Metric::Boolean(true), exported.clone())
        .submit()
        .unwrap();
    llmobs::flush();
    let spans = &server.received("/llmobs", 1)[0];
    assert_eq!(
        (&*spans.method, &*spans.path),
        ("POST", "/base/evp_proxy/v2/api/v2/llmobs")
    );
    assert_eq!(spans.headers["content-type"], "application/json");
    assert_eq!(spans.headers["x-datadog-evp-subdomain"], "llmobs-intake");
    assert!(!spans.headers.contains_key("dd-api-key"));
    assert_eq!(spans.body[0]["spans"][0]["span_id"], *exported.span_id);
    let evaluations = &server.received("/eval-metric", 1)[0];
    assert_eq!(
        evaluations.path,
        "/base/evp_proxy/v2/api/intake/llm-obs/v2/eval-metric"
    );
    assert_eq!(evaluations.headers["x-datadog-evp-subdomain"], "api");
    let data = &evaluations.body["data"];
    assert_eq!(data["type"], "evaluation_metric");
    assert_eq!(
        data["attributes"]["metrics"][0]["join_on"]["span"]["span_id"],
        *exported.span_id
    );
    server.forget();
}

fn what_may_succeed_later_is_tried_again(server: &Server) {
    server.fail_next("/llmobs", &[503, 429]);
    span(Kind::Task).name("again").start().finish();
    llmobs::flush();
    let tries = server.received("/llmobs", 3);
    assert!(tries.iter().all(|request| request.body == tries[0].body));
    server.forget();
    // What is refused is dropped, and what comes later is not held up by it.
    server.fail_next("/llmobs", &[400]);
    span(Kind::Task).name("refused").start().finish();
    llmobs::flush();
    server.received("/llmobs", 1);
    span(Kind::Task).name("later").start().finish();
    llmobs::flush();
    let all = server.received("/llmobs", 2);
    assert_eq!(all[1].body[0]["spans"][0]["name"], "later");
    assert_eq!(all.len(), 2);
    server.forget();
}

fn datasets_are_made_changed_and_pulled(server: &Server) {
    let mut dataset = wait(Dataset::create("capitals", "about them", None)).unwrap();
    assert_eq!(
        (dataset.id(), &*dataset.project.id, &*dataset.project.name),
        ("d1", "p1", "project")
    );
    let all = server.received("/llm-obs", 2);
    assert_eq!(all[0].path, "/base/api/unstable/llm-obs/v1/projects");
    assert_eq!(
        all[0].body,
        json!({"data": {"type": "projects", "attributes": {"name": "project", "description": ""}}})
    );
    assert_eq!(all[1].path, "/base/api/unstable/llm-obs/v1/p1/datasets");
    assert_eq!(
        all[1].body["data"]["attributes"],
        json!({"name": "capitals", "description": "about them"})
    );
    assert_eq!(
        (
            &*all[1].headers["dd-api-key"],
            &*all[1].headers["dd-application-key"]
        ),
        ("api-key", "app-key")
    );
    dataset.append(Record::new("Italy", "Rome")).unwrap();
    wait(dataset.push(Push::default())).unwrap();
    assert_eq!(
        (
            dataset.version(),
            dataset.records()[0].canonical_id.as_deref()
        ),
        (2, Some("c"))
    );
    let batch = &server.received("/batch_update", 1)[0];
    assert_eq!(
        batch.path,
        "/base/api/v2/llm-obs/v1/p1/datasets/d1/batch_update"
    );
    let attributes = &batch.body["data"]["attributes"];
    assert_eq!(
        (
            &attributes["deduplicate"],
            &attributes["create_new_version"]
        ),
        (&json!(true), &json!(true))
    );
    assert_eq!(attributes["insert_records"][0]["expected_output"], "Rome");
    let as_file = Push {
        as_file: Some(true),
        ..Push::default()
    };
    wait(dataset.push(as_file)).unwrap();
    let upload = &server.received("/upload", 1)[0];
    assert!(upload.headers["content-type"].starts_with("multipart/form-data; boundary="));
    let text = upload.body.as_str().unwrap();
    assert!(
        text.contains("input,expected_output,metadata,id\r\n\"\"\"Italy\"\"\",\"\"\"Rome\"\"\","),
        "{text}"
    );
    let pulled = wait(Dataset::pull("a b", None, Some(3), &["k:v".into()])).unwrap();
    assert_eq!(
        (pulled.description.as_str(), pulled.version()),
        ("about", 3)
    );
    let inputs: Vec<_> = pulled
        .records()
        .iter()
        .map(|record| record.input.clone())
        .collect();
    assert_eq!(inputs, [json!("one"), json!("two")]);
    assert!(
        server.received("filter[name]=a%20b", 1)[0]
            .path
            .contains("/p1/datasets?")
    );
    assert!(
        server
            .received("filter[version]=3&filter[tags]=k%3Av", 1)
            .len()
            == 1
    );
    server.forget();
}

fn an_experiment_runs_and_reports(server: &Server) {
    let mut dataset = wait(Dataset::create("sums", "", None)).unwrap();
    for (input, expected) in [(1, 2), (2, 4), (3, 7), (4, 8)] {
        dataset
            .append(Record {
                tags: vec!["size:small".into()],
                ..Record::new(input, expected)
            })
            .unwrap();
    }
    server.forget();
    let experiment = Experiment::new("doubling", &dataset)
        .description("d")
        .config(json!({"factor": 2}))
        .tag("team", "math")
        .jobs(2)
        .max_retries(1)
        .progress(false)
        .task("double", |row: Record, config: Value| async move {
            span(Kind::Task).name("inner").start().finish();
            let number = row.input.as_i64().unwrap_or_default();
            if number == 4 {
                panic!("by design");
            }
            Ok::<_, BoxError>(number * config["factor"].as_i64().unwrap_or_default())
        })
        .evaluator(evaluator("exact", |row: &EvaluatorContext| {
            let is_right = row.output == row.expected_output;
            let assessment = if is_right {
                Assessment::Pass
            } else {
                Assessment::Fail
            };
            Ok(EvaluatorResult::new(is_right)
                .assessment(assessment)
                .reasoning("compared"))
        }))
        .evaluator(async_evaluator(
            "parts",
            |row: EvaluatorContext| async move {
                if row.output.is_null() {
                    return Err("nothing came out".into());
                }
                Ok(Outcome::several([
                    ("low", row.output.as_i64() < Some(3)),
                    ("high", row.output.as_i64() > Some(3)),
                ]))
            },
        ))
        .summary("accuracy", |all: &SummaryContext| {
            let right = all.evaluations["exact"]
                .iter()
                .filter(|value| **value == true)
                .count();
            Ok(right as f64 / all.outputs.len() as f64)
        })
        .summary("broken", |_: &SummaryContext| -> Result<bool, BoxError> {
            panic!("by design")
        });
    let result = experiment.run_blocking().unwrap();
    let rows = &result.runs[0].rows;
    let outputs: Vec<_> = rows.iter().map(|row| row.output.clone()).collect();
    assert_eq!(
        outputs,
        [json!(2), json!(4), json!(6), Value::Null],
        "in their order"
    );
    assert_eq!(rows[3].error.as_ref().unwrap().kind, "panic");
    let labels: Vec<_> = rows[0]
        .judgements
        .iter()
        .map(|it| it.label.as_str())
        .collect();
    assert_eq!(labels, ["exact", "parts-low", "parts-high"]);
    assert_eq!(result.runs[0].summaries[0].result.value, json!(0.5));
    assert_eq!(
        result.runs[0].summaries[1].error.as_ref().unwrap().kind,
        "panic"
    );
    assert!(!result.is_good() && result.to_string().contains("accuracy: 0.5"));

    let made = &server.received("/v1/experiments", 1)[0].body["data"]["attributes"];
    assert_eq!(
        (&made["name"], &made["dataset_id"], &made["config"]),
        (&json!("doubling"), &json!("d1"), &json!({"factor": 2}))
    );
    assert_eq!(
        (&made["ensure_unique"], &made["run_count"]),
        (&json!(true), &json!(1))
    );
    let states = server.received("/v1/experiments/e1", 3);
    let state = |at: usize| {
        states
            .iter()
            .filter(|it| it.method == "PATCH")
            .nth(at)
            .unwrap()
            .body["data"]["attributes"]
            .clone()
    };
    assert_eq!(state(0), json!({"status": "running"}));
    assert_eq!(state(1)["status"], "failed");
    let events = &server.received("/e1/events", 1)[0].body["data"]["attributes"];
    assert_eq!(events["scope"], "experiments");
    let metrics = events["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 3 * 3 + 2 + 2);
    let exact = &metrics[0];
    assert_eq!(
        (
            &exact["label"],
            &exact["boolean_value"],
            &exact["assessment"]
        ),
        (&json!("exact"), &json!(true), &json!("pass"))
    );
    assert_eq!(
        (&exact["metric_source"], &exact["status"], &exact["span_id"]),
        (&json!("custom"), &json!("OK"), &json!(rows[0].span_id))
    );
    let failed = metrics.iter().find(|it| it["label"] == "parts").unwrap();
    assert_eq!(
        (&failed["status"], &failed["error"]["message"]),
        (&json!("ERROR"), &json!("nothing came out"))
    );
    assert!(
        metrics
            .iter()
            .any(|it| it["metric_source"] == "summary" && it["score_value"] == 0.5)
    );

    let sent: Vec<Value> = server
        .received("/llmobs", 1)
        .into_iter()
        .flat_map(|it| it.body.as_array().cloned().unwrap())
        .collect();
    let of_rows: Vec<_> = sent
        .iter()
        .filter(|it| it["spans"][0]["name"] == "double")
        .collect();
    assert_eq!(of_rows.len(), 4);
    let row = of_rows
        .iter()
        .find(|it| it["spans"][0]["span_id"] == *rows[0].span_id)
        .unwrap();
    assert_eq!(row["_dd.scope"], "experiments");
    let event = &row["spans"][0];
    assert_eq!(event["meta"]["span"]["kind"], "experiment");
    assert_eq!(
        (
            &event["meta"]["input"],
            &event["meta"]["output"],
            &event["meta"]["expected_output"]
        ),
        (&json!(1), &json!(2), &json!(2))
    );
    assert_eq!(event["config"], json!({"factor": 2}));
    let has =
        |event: &Value, tag: &str| event["tags"].as_array().unwrap().iter().any(|it| it == tag);
    for tag in [
        "experiment_id:e1",
        "dataset_id:d1",
        "dataset_name:sums",
        "project_id:p1",
        "run_iteration:1",
        "team:math",
        "size:small",
        "experiment_name:doubling",
    ] {
        assert!(has(event, tag), "{tag} in {event}");
    }
    let inner = sent
        .iter()
        .find(|it| it["spans"][0]["name"] == "inner")
        .unwrap();
    assert!(has(&inner["spans"][0], "experiment_id:e1"));
    assert_eq!(inner["_dd.scope"], "experiments");
    let retried = sent
        .iter()
        .find(|it| it["spans"][0]["status"] == "error")
        .unwrap();
    assert!(has(&retried["spans"][0], "retries:1"), "{retried}");
    server.forget();
}

fn prompts_are_fetched_kept_and_changed(server: &Server) {
    let first = wait(prompts::get("greet").into_future_now()).unwrap();
    assert_eq!((&*first.version, first.source), ("1", Source::Registry));
    let asked = &server.received("/prompts/greet", 1)[0];
    assert_eq!(asked.path, "/base/api/unstable/llm-obs/v1/prompts/greet");
    assert_eq!(
        (
            &*asked.headers["dd-api-key"],
            &*asked.headers["x-datadog-sdk-language"]
        ),
        ("api-key", "rust")
    );
    // It is stale after a millisecond: what was kept is used, and a newer one is fetched beside.
    std::thread::sleep(Duration::from_millis(5));
    let second = wait(prompts::get("greet").into_future_now()).unwrap();
    assert_eq!((&*second.version, second.source), ("1", Source::Cache));
    server.received("/prompts/greet", 2);
    let until = Instant::now() + PATIENCE;
    while &*wait(prompts::get("greet").into_future_now())
        .unwrap()
        .version
        == "1"
    {
        assert!(
            Instant::now() < until,
            "the newer one is used once it is there"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let versioned = wait(prompts::get("greet").version(7).into_future_now()).unwrap();
    assert_eq!(&*versioned.render([("name", "Ada")]), "Hi Ada");
    server.received("/prompts/greet/versions/7", 1);
    server.fail_next("/prompts/none", &[404, 404]);
    let missing = wait(prompts::get("none").into_future_now());
    assert!(matches!(missing, Err(PromptError::NotFound(detail)) if detail == "by design"));
    let fallback = wait(
        prompts::get("none")
            .fallback("Hello {name}")
            .into_future_now(),
    )
    .unwrap();
    assert_eq!(
        (fallback.source, &*fallback.render([("name", "B")])),
        (Source::Fallback, "Hello B")
    );
    wait(prompts::create(
        "new one",
        PromptDraft::new("Hi {{x}}").title("T"),
    ))
    .unwrap();
    let made = server.received("/v1/prompts", 1);
    let made = made.iter().find(|it| it.method == "POST").unwrap();
    assert_eq!(
        made.body,
        json!({"prompt_id": "new one", "title": "T", "template": [{"role": "user", "content": "Hi {{x}}"}]})
    );
    for (status, check) in [
        (
            409,
            (|error: &PromptError| matches!(error, PromptError::Conflict(_)))
                as fn(&PromptError) -> bool,
        ),
        (403, |error| matches!(error, PromptError::Auth(_))),
        (400, |error| matches!(error, PromptError::Invalid(_))),
        (500, |error| {
            matches!(error, PromptError::Server { status: 500, .. })
        }),
    ] {
        server.fail_next("/prompts/x", &[status]);
        let error = wait(prompts::delete("x")).unwrap_err();
        assert!(check(&error), "{status}: {error}");
    }
    server.forget();
}

/// `get` is awaited; here it has to be a future.
trait IntoFutureNow {
    type Future;
    fn into_future_now(self) -> Self::Future;
}

impl<T: IntoFuture> IntoFutureNow for T {
    type Future = T::IntoFuture;

    fn into_future_now(self) -> T::IntoFuture {
        self.into_future()
    }
}
