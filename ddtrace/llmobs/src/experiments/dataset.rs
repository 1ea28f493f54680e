//! Datasets: rows of inputs and expected outputs, kept by the backend in versions.
//!
//! A dataset is a local list that remembers what was changed; [`Dataset::push`] sends just that. Source: dd-trace-py
//! `ddtrace/llmobs/_experiment.py` (`Dataset`), `_writer.py`.

mod push;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, ApiError, LIST_TIMEOUT, Project, quoted, text_at};
use crate::writer::envelope;

/// Pages of rows at most.
const PAGES: usize = 100_000;

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Its id, made here if nobody gives one.
    pub record_id: String,
    /// The id that it keeps over versions.
    pub canonical_id: Option<String>,
    /// What goes in.
    pub input: Value,
    /// What should come out. `Some(Null)` erases it.
    pub expected_output: Option<Value>,
    /// What else there is to know. `Some` of an empty map erases it.
    pub metadata: Option<Map<String, Value>>,
    /// Tags of the form `key:value`.
    pub tags: Vec<String>,
}

impl Record {
    /// A row by what goes in and what should come out.
    pub fn new(input: impl Into<Value>, expected_output: impl Into<Value>) -> Self {
        Self {
            input: input.into(),
            expected_output: Some(expected_output.into()),
            ..Self::default()
        }
    }

    fn to_value(&self) -> Value {
        let expected = match &self.expected_output {
            Some(Value::Null) => json!(""),
            Some(value) => value.clone(),
            None => Value::Null,
        };
        let mut value = json!({
            "id": self.record_id, "input": self.input, "expected_output": expected, "metadata": self.metadata,
        });
        if !self.tags.is_empty() {
            value["tags"] = json!(self.tags);
        }
        value
    }
}

/// What is to be done with tags of a row that the backend has.
#[derive(Clone, Debug, Default, PartialEq)]
struct TagChanges {
    add: BTreeSet<String>,
    remove: BTreeSet<String>,
    set: Option<Vec<String>>,
}

/// Fields of a row that the backend has and that were changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordUpdate {
    /// What goes in.
    pub input: Option<Value>,
    /// What should come out; `Null` erases it.
    pub expected_output: Option<Value>,
    /// What else there is to know.
    pub metadata: Option<Map<String, Value>>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default)]
struct Changes {
    inserted: Vec<String>,
    updated: BTreeMap<String, RecordUpdate>,
    tags: BTreeMap<String, TagChanges>,
    deleted: Vec<String>,
}

/// A dataset; made by [`create`](Self::create) or [`pull`](Self::pull).
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The project that it belongs to.
    pub project: Project,
    id: String,
    version: i64,
    latest_version: i64,
    records: Vec<Record>,
    filter_tags: Vec<String>,
    changes: Changes,
}

/// How changes are sent.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// Whether rows that are equal to others are left out.
    pub deduplicate: bool,
    /// Whether there is a new version afterwards.
    pub create_new_version: bool,
    /// Whether all rows are uploaded as one file; by their size if nobody says.
    pub as_file: Option<bool>,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            deduplicate: true,
            create_new_version: true,
            as_file: None,
        }
    }
}

impl Dataset {
    /// Makes a dataset in a project, or in the one that is set.
    pub async fn create(
        name: &str,
        description: &str,
        project: Option<&str>,
    ) -> Result<Self, ApiError> {
        const WHAT: &str = "new dataset";
        let api = Api::new()?;
        let project = api.project(project).await?;
        let path = format!("/api/unstable/llm-obs/v1/{}/datasets", project.id);
        let body = envelope(
            "datasets",
            json!({ "name": name, "description": description }),
        );
        let answer = api.post(WHAT, &path, body).await?;
        let version = answer.pointer("/data/attributes/current_version");
        let version = version.and_then(Value::as_i64).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            description: description.to_owned(),
            project,
            id: text_at(WHAT, &answer, "/data/id", "an id")?,
            version,
            latest_version: version,
            records: Vec::new(),
            filter_tags: Vec::new(),
            changes: Changes::default(),
        })
    }

    /// Fetches a dataset with its rows: a version of it, or the newest; all rows, or those with these tags.
    pub async fn pull(
        name: &str,
        project: Option<&str>,
        version: Option<i64>,
        tags: &[String],
    ) -> Result<Self, ApiError> {
        const WHAT: &str = "dataset";
        let api = Api::new()?;
        let project = api.project(project).await?;
        let path = format!(
            "/api/v2/llm-obs/v1/{}/datasets?filter[name]={}",
            project.id,
            quoted(name)
        );
        let answer = api
            .call(WHAT, &[200], Method::GET, &path, None, LIST_TIMEOUT)
            .await?;
        let found = answer.pointer("/data/0");
        let found = found.ok_or_else(|| {
            ApiError::Invalid(format!(
                "there is no dataset {name} in project {}",
                project.name
            ))
        })?;
        let id = text_at(WHAT, found, "/id", "an id")?;
        let latest = found
            .pointer("/attributes/current_version")
            .and_then(Value::as_i64);
        let latest = latest.unwrap_or_default();
        let description = found
            .pointer("/attributes/description")
            .and_then(Value::as_str);
        let description = description.unwrap_or_default().to_owned();
        let records = records(&api, &project, &id, version, tags).await?;
        Ok(Self {
            name: name.to_owned(),
            description,
            project,
            id,
            version: version.unwrap_or(latest),
            latest_version: latest,
            records,
            filter_tags: tags.to_vec(),
            changes: Changes::default(),
        })
    }

    /// Deletes a dataset by its id. It can be restored for a while.
    pub async fn delete(id: &str) -> Result<(), ApiError> {
        let body = envelope("datasets", json!({ "type": "soft", "dataset_ids": [id] }));
        let path = "/api/unstable/llm-obs/v1/datasets/delete";
        Api::new()?
            .post("deletion of a dataset", path, body)
            .await?;
        Ok(())
    }

    /// Reads rows from a table of comma-separated values: columns named as input, as expected output, and all others as metadata. Every
    /// input is an object of its columns.
    pub fn append_csv(
        &mut self,
        text: &str,
        input: &[&str],
        expected: &[&str],
    ) -> Result<usize, ApiError> {
        let rows = super::csv::read(text).map_err(ApiError::Invalid)?;
        let Some((head, rows)) = rows.split_first() else {
            return Err(ApiError::Invalid(
                "expected a line with the names of columns".into(),
            ));
        };
        for name in input.iter().chain(expected) {
            if !head.iter().any(|column| column == name) {
                return Err(ApiError::Invalid(format!("there is no column {name}")));
            }
        }
        for row in rows {
            let take = |wanted: &dyn Fn(&str) -> bool| -> Map<String, Value> {
                let cells = head.iter().zip(row).filter(|(column, _)| wanted(column));
                cells
                    .map(|(column, cell)| (column.clone(), cell.clone().into()))
                    .collect()
            };
            let metadata = take(&|name| !input.contains(&name) && !expected.contains(&name));
            self.append(Record {
                input: take(&|name| input.contains(&name)).into(),
                expected_output: Some(take(&|name| expected.contains(&name)).into()),
                metadata: Some(metadata),
                ..Record::default()
            })?;
        }
        Ok(rows.len())
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The version that it is.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The newest version that the backend has, as far as it is known.
    pub fn latest_version(&self) -> i64 {
        self.latest_version
    }

    /// Its rows.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The tags that its rows were chosen by.
    pub fn filter_tags(&self) -> &[String] {
        &self.filter_tags
    }

    /// Where it is to be seen.
    pub fn url(&self) -> String {
        format!("{}/llm/datasets/{}", super::page(), self.id)
    }

    /// Adds a row.
    pub fn append(&mut self, mut record: Record) -> Result<(), ApiError> {
        check_tags(&record.tags)?;
        if record.record_id.is_empty() {
            record.record_id = new_id();
        }
        if self
            .records
            .iter()
            .any(|other| other.record_id == record.record_id)
        {
            let id = record.record_id;
            return Err(ApiError::Invalid(format!(
                "there is a row with the id {id} already"
            )));
        }
        self.changes.inserted.push(record.record_id.clone());
        self.records.push(record);
        Ok(())
    }

    /// Changes a row.
    pub fn update(&mut self, index: usize, update: RecordUpdate) -> Result<(), ApiError> {
        if update == RecordUpdate::default() {
            return Err(ApiError::Invalid(
                "expected a field that is to be changed".into(),
            ));
        }
        if let Some(tags) = update.tags.clone() {
            self.replace_tags(index, &tags)?;
        }
        let record = record_at(&mut self.records, index)?;
        let fields = (update.input, update.expected_output, update.metadata);
        if matches!(fields, (None, None, None)) {
            return Ok(());
        }
        let (input, expected, metadata) = fields;
        if let Some(input) = &input {
            record.input = input.clone();
        }
        if expected.is_some() {
            record.expected_output.clone_from(&expected);
        }
        if metadata.is_some() {
            record.metadata.clone_from(&metadata);
        }
        if !self.changes.inserted.contains(&record.record_id) {
            let change = self
                .changes
                .updated
                .entry(record.record_id.clone())
                .or_default();
            change.input = input.or(change.input.take());
            change.expected_output = expected.or(change.expected_output.take());
            change.metadata = metadata.or(change.metadata.take());
        }
        Ok(())
    }

    /// Adds tags to a row.
    pub fn add_tags(&mut self, index: usize, tags: &[String]) -> Result<(), ApiError> {
        self.change_tags(
            index,
            tags,
            |own, tags| own.extend(tags.iter().cloned()),
            |change, tag| {
                if !change.remove.remove(tag) {
                    change.add.insert(tag.clone());
                }
            },
        )
    }

    /// Takes tags from a row.
    pub fn remove_tags(&mut self, index: usize, tags: &[String]) -> Result<(), ApiError> {
        let forget =
            |own: &mut BTreeSet<String>, tags: &[String]| own.retain(|tag| !tags.contains(tag));
        self.change_tags(index, tags, forget, |change, tag| {
            if !change.add.remove(tag) {
                change.remove.insert(tag.clone());
            }
        })
    }

    fn change_tags(
        &mut self,
        index: usize,
        tags: &[String],
        apply: impl Fn(&mut BTreeSet<String>, &[String]),
        note: impl Fn(&mut TagChanges, &String),
    ) -> Result<(), ApiError> {
        check_tags(tags)?;
        let record = record_at(&mut self.records, index)?;
        let mut own: BTreeSet<_> = record.tags.iter().cloned().collect();
        apply(&mut own, tags);
        record.tags = own.into_iter().collect();
        let id = record.record_id.clone();
        if !self.changes.inserted.contains(&id) {
            let change = self.changes.tags.entry(id.clone()).or_default();
            match &mut change.set {
                Some(set) => {
                    let mut all: BTreeSet<_> = set.drain(..).collect();
                    apply(&mut all, tags);
                    set.extend(all);
                }
                None => tags.iter().for_each(|tag| note(change, tag)),
            }
            self.changes.updated.entry(id).or_default();
        }
        Ok(())
    }

    /// Gives a row these tags and no others.
    pub fn replace_tags(&mut self, index: usize, tags: &[String]) -> Result<(), ApiError> {
        check_tags(tags)?;
        let record = record_at(&mut self.records, index)?;
        record.tags = tags.to_vec();
        let id = record.record_id.clone();
        if !self.changes.inserted.contains(&id) {
            let change = TagChanges {
                set: Some(tags.to_vec()),
                ..TagChanges::default()
            };
            self.changes.tags.insert(id.clone(), change);
            self.changes.updated.entry(id).or_default();
        }
        Ok(())
    }

    /// Takes a row out.
    pub fn remove(&mut self, index: usize) -> Result<(), ApiError> {
        record_at(&mut self.records, index)?;
        let id = self.records.remove(index).record_id;
        self.changes.updated.remove(&id);
        self.changes.tags.remove(&id);
        let inserted = self.changes.inserted.len();
        self.changes.inserted.retain(|other| *other != id);
        if self.changes.inserted.len() == inserted {
            self.changes.deleted.push(id);
        }
        Ok(())
    }
}

fn record_at(records: &mut [Record], index: usize) -> Result<&mut Record, ApiError> {
    let count = records.len();
    records
        .get_mut(index)
        .ok_or_else(|| ApiError::Invalid(format!("there is no row {index}: there are {count}")))
}

fn check_tags(tags: &[String]) -> Result<(), ApiError> {
    match tags.iter().find(|tag| !tag.contains(':')) {
        Some(tag) => Err(ApiError::Invalid(format!(
            "expected a tag of the form key:value, found {tag}"
        ))),
        None => Ok(()),
    }
}

async fn records(
    api: &Api,
    project: &Project,
    id: &str,
    version: Option<i64>,
    tags: &[String],
) -> Result<Vec<Record>, ApiError> {
    const WHAT: &str = "rows of a dataset";
    let base = format!("/api/v2/llm-obs/v1/{}/datasets/{id}/records", project.id);
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let mut query = Vec::new();
        // The cursor knows the version.
        match &cursor {
            Some(cursor) => query.push(format!("page[cursor]={}", quoted(cursor))),
            None => query.extend(version.map(|version| format!("filter[version]={version}"))),
        }
        query.extend(
            tags.iter()
                .map(|tag| format!("filter[tags]={}", quoted(tag))),
        );
        let path = format!("{base}?{}", query.join("&"));
        let answer = api
            .call(WHAT, &[200], Method::GET, &path, None, LIST_TIMEOUT)
            .await?;
        let rows = answer.pointer("/data").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            let attribute = |key: &str| row.pointer(&format!("/attributes/{key}")).cloned();
            let tags = attribute("tags").unwrap_or_default();
            let tags = tags.as_array().cloned().unwrap_or_default();
            all.push(Record {
                record_id: text_at(WHAT, row, "/id", "an id")?,
                canonical_id: attribute("canonical_id")
                    .and_then(|it| it.as_str().map(str::to_owned)),
                input: attribute("input").unwrap_or_default(),
                expected_output: attribute("expected_output").filter(|value| !value.is_null()),
                metadata: attribute("metadata").and_then(|value| value.as_object().cloned()),
                tags: tags
                    .iter()
                    .filter_map(|tag| tag.as_str().map(str::to_owned))
                    .collect(),
            });
        }
        cursor = answer
            .pointer("/meta/after")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if cursor.as_deref().is_none_or(str::is_empty) {
            return Ok(all);
        }
    }
    Err(ApiError::Unexpected {
        what: WHAT,
        expected: "a last page",
    })
}

/// 32 hexadecimal digits that nobody else has.
pub(super) fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Every state has random keys.
    let half = |salt: u64| RandomState::new().hash_one((salt, count, std::process::id()));
    format!("{:016x}{:016x}", half(1), half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(records: Vec<Record>) -> Dataset {
        Dataset {
            name: "d".into(),
            description: String::new(),
            project: Project::default(),
            id: "1".into(),
            version: 1,
            latest_version: 1,
            records,
            filter_tags: Vec::new(),
            changes: Changes::default(),
        }
    }

    fn known(id: &str, tags: &[&str]) -> Record {
        Record {
            record_id: id.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Record::new("in", "out")
        }
    }

    #[test]
    fn only_what_was_changed_is_sent() {
        let mut data = dataset(vec![known("a", &["k:1"]), known("b", &[]), known("c", &[])]);
        data.append(Record::new("new", Value::Null)).unwrap();
        data.update(
            1,
            RecordUpdate {
                expected_output: Some(Value::Null),
                ..RecordUpdate::default()
            },
        )
        .unwrap();
        data.remove(2).unwrap();
        let inserted = data.inserted();
        assert_eq!(
            (
                inserted.len(),
                &inserted[0]["input"],
                &inserted[0]["expected_output"]
            ),
            (1, &json!("new"), &json!(""))
        );
        assert_eq!(
            data.updated(),
            [json!({"id": "b", "input": null, "expected_output": "", "metadata": null})]
        );
        assert_eq!(data.changes.deleted, ["c"]);
        data.remove(2).unwrap();
        assert!(
            data.inserted().is_empty() && data.changes.deleted == ["c"],
            "it was never there"
        );
        assert!(data.remove(7).is_err() && data.update(0, RecordUpdate::default()).is_err());
        assert!(data.append(known("a", &[])).is_err());
    }

    #[test]
    fn changes_of_tags_cancel_each_other() {
        let tag = |text: &str| [text.to_owned()];
        let mut data = dataset(vec![known("a", &["k:1", "k:2"])]);
        data.add_tags(0, &tag("k:3")).unwrap();
        data.remove_tags(0, &tag("k:3")).unwrap();
        data.remove_tags(0, &tag("k:1")).unwrap();
        assert_eq!(
            data.updated()[0]["tag_operations"],
            json!({"remove": ["k:1"]})
        );
        assert_eq!(data.records()[0].tags, ["k:2"]);
        data.replace_tags(0, &tag("k:9")).unwrap();
        data.add_tags(0, &tag("k:4")).unwrap();
        assert_eq!(
            data.updated()[0]["tag_operations"],
            json!({"set": ["k:4", "k:9"]})
        );
        assert!(data.add_tags(0, &tag("nonsense")).is_err());
    }

    #[test]
    fn a_table_becomes_rows() {
        let mut data = dataset(Vec::new());
        let text = "q,a,more\r\n\"x, \"\"y\"\"\",1,m\r\nz,2,\r\n";
        assert_eq!(data.append_csv(text, &["q"], &["a"]).unwrap(), 2);
        let first = &data.records()[0];
        assert_eq!(first.input, json!({"q": "x, \"y\""}));
        assert_eq!(first.expected_output, Some(json!({"a": "1"})));
        assert_eq!(
            first.metadata,
            Some(Map::from_iter([("more".to_owned(), json!("m"))]))
        );
        assert!(data.append_csv(text, &["nope"], &[]).is_err());
    }
}
