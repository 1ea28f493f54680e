//! How changes of a dataset reach the backend: row by row, or all rows as one file.

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

use super::super::api::{Api, ApiError, UPLOAD_TIMEOUT, read};
use super::super::csv;
use super::{Changes, Dataset, Push, Record};
use crate::json_text::json_text;

/// Bytes of changes from which on they are uploaded as a file.
const BATCH_LIMIT: usize = 5 << 20;
const BOUNDARY: &str = "----------boundary------";

impl Dataset {
    /// Sends what was changed since it was made, pulled or pushed.
    pub async fn push(&mut self, push: Push) -> Result<(), ApiError> {
        let api = Api::new()?;
        let inserted = self.inserted();
        let updated = self.updated();
        let size: usize = inserted
            .iter()
            .chain(&updated)
            .map(|row| json_text(row).len())
            .sum();
        if push.as_file.unwrap_or(size > BATCH_LIMIT) {
            self.upload(&api, push.deduplicate).await?;
        } else {
            self.send_changes(&api, push, inserted, updated).await?;
        }
        self.changes = Changes::default();
        Ok(())
    }

    pub(super) fn inserted(&self) -> Vec<Value> {
        let records = self.records.iter();
        let records = records.filter(|record| self.changes.inserted.contains(&record.record_id));
        records.map(Record::to_value).collect()
    }

    pub(super) fn updated(&self) -> Vec<Value> {
        let updates = self.changes.updated.iter().map(|(id, update)| {
            let expected = match &update.expected_output {
                Some(Value::Null) => json!(""),
                Some(value) => value.clone(),
                None => Value::Null,
            };
            let mut value = json!({
                "id": id, "input": update.input, "expected_output": expected, "metadata": update.metadata,
            });
            if let Some(tags) = self.changes.tags.get(id) {
                let mut operations = Map::new();
                if let Some(set) = &tags.set {
                    operations.insert("set".into(), json!(set));
                }
                for (key, tags) in [("add", &tags.add), ("remove", &tags.remove)] {
                    if !tags.is_empty() {
                        operations.insert(key.into(), json!(tags));
                    }
                }
                value["tag_operations"] = operations.into();
            }
            value
        });
        updates.collect()
    }

    async fn send_changes(
        &mut self,
        api: &Api,
        push: Push,
        inserted: Vec<Value>,
        updated: Vec<Value>,
    ) -> Result<(), ApiError> {
        let (project, id) = (&self.project.id, &self.id);
        let path = format!("/api/v2/llm-obs/v1/{project}/datasets/{id}/batch_update");
        let attributes = json!({
            "insert_records": inserted, "update_records": updated, "delete_records": self.changes.deleted,
            "deduplicate": push.deduplicate, "create_new_version": push.create_new_version,
        });
        let body = json!({ "data": { "type": "datasets", "id": id, "attributes": attributes } });
        let answer = api.post("changes of a dataset", &path, body).await?;
        let rows = answer.pointer("/data").and_then(Value::as_array);
        let rows = rows.map_or(&[][..], Vec::as_slice);
        let version = rows
            .first()
            .and_then(|row| row.pointer("/attributes/version"));
        if let Some(version) = version.and_then(Value::as_i64) {
            self.latest_version = version;
        }
        for row in rows {
            let canonical = row
                .pointer("/attributes/canonical_id")
                .and_then(Value::as_str);
            let record = self.records.iter_mut();
            let mut record = record.filter(|record| row["id"] == *record.record_id);
            if let (Some(canonical), Some(record)) = (canonical, record.next()) {
                record.canonical_id = Some(canonical.to_owned());
            }
        }
        self.version = self.latest_version;
        Ok(())
    }

    /// All rows as one file.
    async fn upload(&self, api: &Api, deduplicate: bool) -> Result<(), ApiError> {
        let mut table = String::from("input,expected_output,metadata,id\r\n");
        for record in &self.records {
            let expected = record.expected_output.clone().unwrap_or_else(|| json!(""));
            let metadata = record
                .metadata
                .clone()
                .map_or_else(|| json!(""), Value::Object);
            let cells = [
                json_text(&record.input),
                json_text(&expected),
                json_text(&metadata),
                record.record_id.clone(),
            ];
            table.push_str(&csv::line(&cells));
        }
        let body = [
            &format!("--{BOUNDARY}"),
            r#"Content-Disposition: form-data; name="file"; filename="records.csv""#,
            "Content-Type: text/csv",
            "",
            &table,
            &format!("--{BOUNDARY}--"),
            "",
        ]
        .join("\r\n");
        // Written as the reference's language writes it.
        let deduplicate = if deduplicate { "True" } else { "False" };
        let path = format!(
            "/api/unstable/llm-obs/v1/datasets/{}/records/upload?deduplicate={deduplicate}",
            self.id
        );
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = api.deliver(
            Method::POST,
            &path,
            &content_type,
            Bytes::from(body),
            UPLOAD_TIMEOUT,
        );
        read("upload of a dataset", &[200], &answer.await?)?;
        Ok(())
    }
}
