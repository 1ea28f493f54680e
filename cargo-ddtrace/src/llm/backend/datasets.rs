//! Datasets: records with versions.
//!
//! A record is never changed: an update ends the old one at the version before and begins another of the same id, so
//! every version can still be read.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Ask, Backend, MOST, Reply, missing, name, new_id, now_ms, refuse, rfc3339, wrong};

/// Records of one answer.
const PAGE: usize = 1000;

/// A dataset.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Dataset {
    pub id: String,
    pub project: String,
    pub name: String,
    pub description: String,
    pub version: u64,
    pub created_ms: i64,
    records: Vec<Record>,
    /// Bytes that are counted for it.
    held: usize,
}

/// A record from a version on.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Record {
    pub id: String,
    pub canonical_id: String,
    pub input: Value,
    pub expected_output: Value,
    pub metadata: Value,
    pub tags: Vec<String>,
    from: u64,
    to: Option<u64>,
}

impl Dataset {
    /// The records of a version.
    pub fn at(&self, version: u64) -> impl Iterator<Item = &Record> {
        let is_there = move |record: &&Record| {
            record.from <= version && record.to.is_none_or(|to| to > version)
        };
        self.records.iter().filter(is_there)
    }

    fn show(&self) -> Value {
        json!({"id": self.id, "type": "datasets", "attributes": {
            "name": self.name, "description": self.description, "current_version": self.version,
            "created_at": rfc3339(self.created_ms),
        }})
    }

    /// Ends a record with the version before `version`; what was added with that very version goes without a trace.
    fn end(&mut self, id: &str, version: u64) -> Option<Record> {
        let at = self
            .records
            .iter()
            .position(|record| record.id == id && record.to.is_none())?;
        let old = self.records[at].clone();
        if old.from == version {
            self.records.remove(at);
        } else {
            self.records[at].to = Some(version);
        }
        Some(old)
    }
}

impl Record {
    fn show(&self) -> Value {
        json!({"id": self.id, "type": "dataset_records", "attributes": {
            "canonical_id": self.canonical_id, "input": self.input, "expected_output": self.expected_output,
            "metadata": self.metadata, "tags": self.tags,
        }})
    }
}

fn tags(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Backend {
    pub(super) fn create_dataset(&mut self, project: &str, ask: &Ask<'_>) -> Reply {
        let Some(name) = name(&ask.attributes()["name"]) else {
            return wrong("name is missing");
        };
        let is_same = |dataset: &&Dataset| dataset.project == project && dataset.name == name;
        if let Some(dataset) = self.datasets.iter().find(is_same) {
            return (200, json!({"data": dataset.show()}));
        }
        if self.datasets.len() >= MOST || !self.hold(1000) {
            return refuse(413, "too many datasets");
        }
        let dataset = Dataset {
            id: new_id(),
            project: project.to_owned(),
            name,
            description: ask.attributes()["description"]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(2000)
                .collect(),
            version: 0,
            created_ms: now_ms(),
            records: Vec::new(),
            held: 1000,
        };
        let shown = dataset.show();
        self.datasets.push(dataset);
        (200, json!({"data": shown}))
    }

    pub(super) fn delete_datasets(&mut self, ask: &Ask<'_>) -> Reply {
        let ids = tags(&ask.attributes()["dataset_ids"]);
        let mut gone = 0;
        self.datasets.retain(|dataset| {
            let stays = !ids.contains(&dataset.id);
            if !stays {
                gone += dataset.held;
            }
            stays
        });
        self.free(gone);
        (
            200,
            json!({"data": ids.iter().map(|id| json!({"id": id, "type": "datasets"})).collect::<Vec<_>>()}),
        )
    }

    pub(super) fn list_datasets(&self, project: &str, ask: &Ask<'_>) -> Reply {
        let wanted = ask.parameter("filter[name]");
        let found: Vec<Value> = self
            .datasets
            .iter()
            .filter(|dataset| dataset.project == project)
            .filter(|dataset| wanted.is_none_or(|name| dataset.name == name))
            .map(Dataset::show)
            .collect();
        (200, json!({"data": found}))
    }

    pub(super) fn records(&self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(dataset) = self.datasets.iter().find(|dataset| dataset.id == id) else {
            return missing("this dataset");
        };
        // The cursor says the version, too: pages after the first do not name it.
        let (version, from) = match ask.parameter("page[cursor]") {
            Some(cursor) => {
                let parsed = cursor.split_once('.').and_then(|(version, from)| {
                    Some((version.parse().ok()?, from.parse::<usize>().ok()?))
                });
                match parsed {
                    Some(parsed) => parsed,
                    None => return wrong("page[cursor] is none of ours"),
                }
            }
            None => match ask.parameter("filter[version]").map(str::parse) {
                None => (dataset.version, 0),
                Some(Ok(version)) => (version, 0),
                Some(Err(_)) => return wrong("filter[version] is no number"),
            },
        };
        let wanted: Vec<&str> = ask.parameters("filter[tags]").collect();
        let has_tags = |record: &&Record| {
            wanted
                .iter()
                .all(|tag| record.tags.iter().any(|own| own == tag))
        };
        let mut found = dataset.at(version).filter(has_tags).skip(from);
        let page: Vec<Value> = found.by_ref().take(PAGE).map(Record::show).collect();
        let after = found.next().map(|_| format!("{version}.{}", from + PAGE));
        (200, json!({"data": page, "meta": {"after": after}}))
    }

    pub(super) fn update_dataset(&mut self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(at) = self.datasets.iter().position(|dataset| dataset.id == id) else {
            return missing("this dataset");
        };
        let attributes = ask.attributes();
        let inserts = list(&attributes["insert_records"]);
        let updates = list(&attributes["update_records"]);
        let deletes = tags(&attributes["delete_records"]);
        let makes_version = attributes["create_new_version"] != false;
        if inserts.is_empty() && updates.is_empty() && deletes.is_empty() {
            return (200, json!({"data": []}));
        }
        let size: usize = inserts
            .iter()
            .chain(updates)
            .map(|record| 300 + record.to_string().len() * 3)
            .sum();
        if !self.hold(size) {
            return refuse(
                413,
                "the records do not fit into the memory of the local agent (--memory)",
            );
        }
        let dataset = &mut self.datasets[at];
        dataset.held += size;
        let is_first = dataset.records.is_empty() && dataset.version == 0;
        if makes_version || is_first {
            dataset.version += 1;
        }
        let version = dataset.version;
        let mut changed = Vec::new();
        let mut seen = HashSet::new();
        for record in inserts {
            let id = name(&record["id"]).unwrap_or_else(new_id);
            // Only within what is sent at once: what is there already was wanted.
            let is_new = seen.insert(format!("{} {}", record["input"], record["expected_output"]));
            if attributes["deduplicate"] != false && !is_new {
                continue;
            }
            dataset.end(&id, version);
            let record = Record {
                canonical_id: new_id(),
                input: record["input"].clone(),
                expected_output: record["expected_output"].clone(),
                metadata: record["metadata"].clone(),
                tags: tags(&record["tags"]),
                from: version,
                to: None,
                id,
            };
            changed.push((record.id.clone(), record.canonical_id.clone()));
            dataset.records.push(record);
        }
        for update in updates {
            let Some(mut record) = name(&update["id"]).and_then(|id| dataset.end(&id, version))
            else {
                continue;
            };
            for (field, key) in [
                (&mut record.input, "input"),
                (&mut record.expected_output, "expected_output"),
                (&mut record.metadata, "metadata"),
            ] {
                if !update[key].is_null() {
                    *field = update[key].clone();
                }
            }
            let operations = &update["tag_operations"];
            if operations["set"].is_array() {
                record.tags = tags(&operations["set"]);
            }
            let removed = tags(&operations["remove"]);
            record.tags.retain(|tag| !removed.contains(tag));
            for tag in tags(&operations["add"]) {
                if !record.tags.contains(&tag) {
                    record.tags.push(tag);
                }
            }
            record.from = version;
            changed.push((record.id.clone(), record.canonical_id.clone()));
            dataset.records.push(record);
        }
        for id in &deletes {
            dataset.end(id, version);
        }
        let shown: Vec<Value> = changed
            .iter()
            .map(|(id, canonical)| json!({"id": id, "type": "dataset_records", "attributes": {"version": version, "canonical_id": canonical}}))
            .collect();
        (200, json!({"data": shown}))
    }

    /// A whole dataset as CSV: `input`, `expected_output`, `metadata` as JSON, and `id`.
    pub(super) fn upload(&mut self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(text) = ask.file.and_then(|file| std::str::from_utf8(file).ok()) else {
            return wrong("the part \"file\" is missing, or no UTF-8");
        };
        let mut rows = csv(text);
        let Some(header) = rows.next() else {
            return wrong("the file is empty");
        };
        let column = |name: &str| header.iter().position(|own| own == name);
        let columns = ["input", "expected_output", "metadata", "id"].map(column);
        let records: Vec<Value> = rows
            .map(|row| {
                let cell = |at: usize| columns[at].and_then(|column| row.get(column)).map_or("", String::as_str);
                let json = |at: usize| serde_json::from_str(cell(at)).unwrap_or_else(|_| json!(cell(at)));
                json!({"input": json(0), "expected_output": json(1), "metadata": json(2), "id": cell(3)})
            })
            .collect();
        let deduplicate = ask
            .parameter("deduplicate")
            .is_none_or(|flag| !flag.eq_ignore_ascii_case("false"));
        let body = json!({"data": {"attributes": {"insert_records": records, "deduplicate": deduplicate}}});
        let ask = Ask {
            method: "POST",
            path: Vec::new(),
            query: Vec::new(),
            body,
            file: None,
        };
        self.update_dataset(id, &ask)
    }
}

/// The rows of RFC 4180: cells in quotes hold commas and line ends, and quotes as two.
fn csv(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        let (mut row, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
        while let Some(next) = rest.next() {
            match next {
                '"' if is_quoted && rest.peek() == Some(&'"') => {
                    rest.next();
                    cell.push('"');
                }
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
                '\r' if !is_quoted && rest.peek() == Some(&'\n') => {}
                '\n' if !is_quoted => break,
                other => cell.push(other),
            }
        }
        row.push(cell);
        Some(row)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::ask;
    use super::*;

    fn dataset(backend: &mut Backend) -> String {
        let body =
            json!({"data": {"type": "datasets", "attributes": {"name": "d", "description": ""}}});
        let (status, answer) = ask(backend, "POST", "p/datasets", body);
        assert_eq!(
            (status, &answer["data"]["attributes"]["current_version"]),
            (200, &json!(0))
        );
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    fn update(backend: &mut Backend, id: &str, attributes: Value) -> Value {
        let body = json!({"data": {"type": "datasets", "id": id, "attributes": attributes}});
        let (status, answer) = ask(
            backend,
            "POST",
            &format!("p/datasets/{id}/batch_update"),
            body,
        );
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    fn inputs(backend: &mut Backend, id: &str, query: &str) -> Vec<Value> {
        let (_, answer) = ask(
            backend,
            "GET",
            &format!("p/datasets/{id}/records{query}"),
            Value::Null,
        );
        let records = answer["data"].as_array().unwrap();
        records
            .iter()
            .map(|record| record["attributes"]["input"].clone())
            .collect()
    }

    #[test]
    fn every_version_of_a_dataset_can_be_read() {
        let mut backend = Backend::new(1 << 20);
        let id = dataset(&mut backend);
        let made = update(
            &mut backend,
            &id,
            json!({"insert_records": [
            {"id": "a", "input": "one", "expected_output": 1, "metadata": {}, "tags": ["k:v"]},
            {"id": "b", "input": "two", "expected_output": 2, "metadata": {}},
            {"id": "c", "input": "two", "expected_output": 2, "metadata": {}}], "deduplicate": true}),
        );
        assert_eq!(
            made.as_array().unwrap().len(),
            2,
            "the third is like the second"
        );
        assert_eq!(
            (&made[0]["id"], &made[0]["attributes"]["version"]),
            (&json!("a"), &json!(1))
        );
        update(
            &mut backend,
            &id,
            json!({"update_records": [{"id": "a", "input": "eins", "tag_operations": {"remove": ["k:v"], "add": ["n:m"]}}], "delete_records": ["b"]}),
        );
        assert_eq!(inputs(&mut backend, &id, ""), [json!("eins")]);
        assert_eq!(
            inputs(&mut backend, &id, "?filter[version]=1"),
            [json!("one"), json!("two")]
        );
        assert_eq!(
            inputs(&mut backend, &id, "?filter[tags]=n:m"),
            [json!("eins")]
        );
        assert_eq!(
            inputs(&mut backend, &id, "?filter[tags]=k:v"),
            [Value::Null; 0]
        );
        let (_, found) = ask(
            &mut backend,
            "GET",
            "p/datasets?filter[name]=d",
            Value::Null,
        );
        assert_eq!(found["data"][0]["attributes"]["current_version"], 2);
        let body = json!({"data": {"attributes": {"type": "soft", "dataset_ids": [id]}}});
        assert_eq!(ask(&mut backend, "POST", "datasets/delete", body).0, 200);
        assert_eq!(
            ask(&mut backend, "GET", "p/datasets", Value::Null).1["data"],
            json!([])
        );
        assert_eq!(backend.memory(), 0);
    }

    #[test]
    fn pages_follow_each_other() {
        let mut backend = Backend::new(8 << 20);
        let id = dataset(&mut backend);
        let records: Vec<Value> = (0..1500)
            .map(|n| json!({"id": n.to_string(), "input": n}))
            .collect();
        update(
            &mut backend,
            &id,
            json!({"insert_records": records, "deduplicate": false}),
        );
        let (_, first) = ask(
            &mut backend,
            "GET",
            &format!("p/datasets/{id}/records"),
            Value::Null,
        );
        assert_eq!(first["data"].as_array().unwrap().len(), 1000);
        let cursor = first["meta"]["after"].as_str().unwrap().to_owned();
        let (_, second) = ask(
            &mut backend,
            "GET",
            &format!("p/datasets/{id}/records?page[cursor]={cursor}"),
            Value::Null,
        );
        assert_eq!(
            (
                second["data"].as_array().unwrap().len(),
                &second["meta"]["after"]
            ),
            (500, &Value::Null)
        );
    }

    #[test]
    fn a_file_of_records_is_read() {
        let mut backend = Backend::new(1 << 20);
        let id = dataset(&mut backend);
        let file = "input,expected_output,metadata,id\r\n\"{\"\"q\"\": \"\"a, b\"\"}\",\"\"\"x\"\"\",{},r1\r\nplain,,{},r2\r\n";
        let ask = Ask {
            method: "POST",
            path: ["datasets", &id, "records", "upload"]
                .map(str::to_owned)
                .to_vec(),
            query: Vec::new(),
            body: Value::Null,
            file: Some(file.as_bytes()),
        };
        assert_eq!(backend.answer(&ask).0.0, 200);
        assert_eq!(
            inputs(&mut backend, &id, ""),
            [json!({"q": "a, b"}), json!("plain")]
        );
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        let mut backend = Backend::new(10_000);
        let id = dataset(&mut backend);
        let body = json!({"data": {"attributes": {"insert_records": [{"id": "a", "input": "x".repeat(5000)}]}}});
        assert_eq!(
            ask(
                &mut backend,
                "POST",
                &format!("p/datasets/{id}/batch_update"),
                body
            )
            .0,
            413
        );
        assert_eq!(inputs(&mut backend, &id, ""), [Value::Null; 0]);
    }
}
