//! Experiments: what was tried, on which dataset, and what evaluators said of each row.

use serde_json::{Value, json};

use super::{
    Ask, Backend, Brought, MOST, Reply, missing, name, new_id, now_ms, refuse, rfc3339, wrong,
};

/// An experiment.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Experiment {
    pub id: String,
    /// Of this run; the same name again gets a number.
    pub name: String,
    /// As it was asked for.
    pub experiment: String,
    pub project: String,
    pub dataset: String,
    pub dataset_version: u64,
    pub description: String,
    pub config: Value,
    pub metadata: Value,
    pub runs: u64,
    pub parent: Option<String>,
    pub status: String,
    pub error: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// As they came: of rows (`metric_source: custom`) and of the whole (`summary`).
    pub metrics: Vec<Value>,
}

impl Experiment {
    fn show(&self) -> Value {
        json!({"id": self.id, "type": "experiments", "attributes": {
            "name": self.name, "experiment": self.experiment, "project_id": self.project, "dataset_id": self.dataset,
            "dataset_version": self.dataset_version, "description": self.description, "config": self.config,
            "metadata": self.metadata, "run_count": self.runs, "parent_experiment_id": self.parent, "status": self.status,
            "error": self.error, "created_at": rfc3339(self.created_ms), "updated_at": rfc3339(self.updated_ms),
        }})
    }
}

impl Backend {
    pub(super) fn create_experiment(&mut self, ask: &Ask<'_>) -> Reply {
        let attributes = ask.attributes();
        let Some(experiment) = name(&attributes["name"]) else {
            return wrong("name is missing");
        };
        if self.experiments.len() >= MOST || !self.hold(1000 + attributes.to_string().len() * 3) {
            return refuse(413, "too many experiments");
        }
        let text = |key: &str| {
            attributes[key]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(2000)
                .collect::<String>()
        };
        let taken = |wanted: &str| self.experiments.iter().any(|own| own.name == wanted);
        let mut own = experiment.clone();
        let mut number = 1;
        while attributes["ensure_unique"] != false && taken(&own) {
            number += 1;
            own = format!("{experiment}-{number}");
        }
        let now = now_ms();
        let made = Experiment {
            id: new_id(),
            name: own,
            experiment,
            project: text("project_id"),
            dataset: text("dataset_id"),
            dataset_version: attributes["dataset_version"].as_u64().unwrap_or(0),
            description: text("description"),
            config: attributes["config"].clone(),
            metadata: attributes["metadata"].clone(),
            runs: attributes["run_count"].as_u64().unwrap_or(1),
            parent: attributes["parent_experiment_id"]
                .as_str()
                .map(str::to_owned),
            status: String::new(),
            error: String::new(),
            created_ms: now,
            updated_ms: now,
            metrics: Vec::new(),
        };
        let shown = made.show();
        self.experiments.push(made);
        (200, json!({"data": shown}))
    }

    pub(super) fn list_experiments(&self, ask: &Ask<'_>) -> Reply {
        let is = |name: &str, own: &str| ask.parameter(name).is_none_or(|wanted| wanted == own);
        let parents: Vec<&str> = ask.parameters("filter[parent_experiment_id]").collect();
        let tags: Option<Value> = ask
            .parameter("filter[metadata]")
            .and_then(|text| serde_json::from_str(text).ok());
        let has = |experiment: &&Experiment| {
            is("filter[id]", &experiment.id)
                && is("filter[experiment]", &experiment.experiment)
                && is("filter[project_id]", &experiment.project)
                && is("filter[dataset_id]", &experiment.dataset)
                && (parents.is_empty()
                    || experiment
                        .parent
                        .as_deref()
                        .is_some_and(|own| parents.contains(&own)))
                && tags
                    .as_ref()
                    .is_none_or(|wanted| contains(&experiment.metadata, wanted))
        };
        let limit = ask
            .parameter("page[limit]")
            .and_then(|text| text.parse().ok())
            .unwrap_or(100)
            .clamp(1, 5000);
        let from: usize = ask
            .parameter("page[cursor]")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let mut found = self.experiments.iter().rev().filter(has).skip(from);
        let page: Vec<Value> = found.by_ref().take(limit).map(Experiment::show).collect();
        let after = found.next().map(|_| (from + limit).to_string());
        (200, json!({"data": page, "meta": {"after": after}}))
    }

    pub(super) fn update_experiment(&mut self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(experiment) = self.experiments.iter_mut().find(|own| own.id == id) else {
            return missing("this experiment");
        };
        for (field, key) in [
            (&mut experiment.status, "status"),
            (&mut experiment.error, "error"),
        ] {
            if let Some(text) = ask.attributes()[key].as_str() {
                *field = text.chars().take(8000).collect();
            }
        }
        experiment.updated_ms = now_ms();
        (200, json!({"data": experiment.show()}))
    }

    pub(super) fn take_events(&mut self, id: &str, ask: &Ask<'_>, brought: &mut Brought) -> Reply {
        let Some(at) = self.experiments.iter().position(|own| own.id == id) else {
            return missing("this experiment");
        };
        let attributes = ask.attributes();
        let metrics = attributes["metrics"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if !self.hold(
            metrics
                .iter()
                .map(|metric| 200 + metric.to_string().len() * 3)
                .sum(),
        ) {
            return refuse(
                413,
                "the metrics do not fit into the memory of the local agent (--memory)",
            );
        }
        let experiment = &mut self.experiments[at];
        experiment.metrics.extend(metrics.iter().cloned());
        experiment.updated_ms = now_ms();
        brought.spans.extend(
            attributes["spans"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        (202, json!({"data": null}))
    }
}

/// Whether everything in `wanted` is in `own` (as PostgreSQL's `@>`).
fn contains(own: &Value, wanted: &Value) -> bool {
    match (own, wanted) {
        (Value::Object(own), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| own.get(key).is_some_and(|own| contains(own, value))),
        (Value::Array(own), Value::Array(wanted)) => wanted
            .iter()
            .all(|value| own.iter().any(|own| contains(own, value))),
        (own, wanted) => own == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ask;
    use super::*;

    #[test]
    fn an_experiment_is_made_changed_and_found() {
        let mut backend = Backend::new(1 << 20);
        let create = |backend: &mut Backend| {
            let attributes = json!({"name": "e", "description": "", "dataset_id": "d", "project_id": "p", "dataset_version": 3,
                "config": {"t": 1}, "metadata": {"tags": ["git.commit.sha:abc"]}, "ensure_unique": true, "run_count": 2});
            let (status, answer) = ask(
                backend,
                "POST",
                "experiments",
                json!({"data": {"type": "experiments", "attributes": attributes}}),
            );
            assert_eq!(status, 200);
            (
                answer["data"]["id"].as_str().unwrap().to_owned(),
                answer["data"]["attributes"]["name"].clone(),
            )
        };
        let (first, name) = create(&mut backend);
        assert_eq!(name, "e");
        assert_eq!(create(&mut backend).1, "e-2");
        let path = format!("experiments/{first}");
        let body = json!({"data": {"type": "experiments", "attributes": {"status": "failed", "error": "boom"}}});
        assert_eq!(ask(&mut backend, "PATCH", &path, body).0, 200);
        let metrics = json!([{"metric_source": "custom", "span_id": "1", "label": "exact", "metric_type": "boolean", "boolean_value": true}]);
        let body = json!({"data": {"attributes": {"scope": "experiments", "metrics": metrics, "tags": []}}});
        assert_eq!(
            ask(&mut backend, "POST", &format!("{path}/events"), body).0,
            202
        );
        assert_eq!(backend.experiments()[0].metrics.len(), 1);
        let (_, found) = ask(
            &mut backend,
            "GET",
            &format!("experiments?filter[id]={first}"),
            Value::Null,
        );
        let attributes = &found["data"][0]["attributes"];
        assert_eq!(
            (
                &attributes["status"],
                &attributes["error"],
                &attributes["run_count"]
            ),
            (&json!("failed"), &json!("boom"), &json!(2))
        );
        let by_tag = r#"experiments?filter[metadata]={"tags":["git.commit.sha:abc"]}"#;
        assert_eq!(
            ask(&mut backend, "GET", by_tag, Value::Null).1["data"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        let other = r#"experiments?filter[metadata]={"tags":["x:y"]}"#;
        assert_eq!(
            ask(&mut backend, "GET", other, Value::Null).1["data"],
            json!([])
        );
        let (_, page) = ask(
            &mut backend,
            "GET",
            "experiments?page[limit]=1",
            Value::Null,
        );
        assert_eq!(
            (
                &page["data"][0]["attributes"]["name"],
                &page["meta"]["after"]
            ),
            (&json!("e-2"), &json!("1"))
        );
        assert_eq!(
            ask(&mut backend, "PATCH", "experiments/none", Value::Null).0,
            404
        );
    }
}
