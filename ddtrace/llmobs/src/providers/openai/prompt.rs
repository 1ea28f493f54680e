//! Prompts that OpenAI keeps: the request names one and its variables, the response says what it came to.

use serde_json::{Map, Value, json};

use super::super::json::{list, shown, text, truthy};
use super::parts::{file_reference, image_reference};

/// The prompt of a request, with the template that it must have been.
pub(super) fn describe(kept: &Value, answer: &Value) -> Option<Value> {
    let id = truthy(kept, "id")?;
    let mut found = json!({"id": id});
    if let Some(version) = truthy(kept, "version") {
        found["version"] = Value::from(shown(version));
    }
    let variables = variables(kept.get("variables"));
    let template = template(list(answer, "instructions"), &variables);
    if !template.is_empty() {
        found["chat_template"] = Value::from(template);
    }
    if !variables.is_empty() {
        found["variables"] = Value::Object(variables);
    }
    Some(found)
}

/// Whether images or files were put into a prompt.
pub(super) fn is_multimodal(kept: &Value) -> bool {
    let variables = kept.get("variables").and_then(Value::as_object);
    variables.is_some_and(|variables| {
        variables
            .values()
            .any(|value| matches!(text(value, "type"), "input_image" | "input_file"))
    })
}

fn variables(sent: Option<&Value>) -> Map<String, Value> {
    let sent = sent.and_then(Value::as_object);
    let plain = |value: &Value| match value {
        Value::Object(_) => Value::from(part_text(value)),
        other => other.clone(),
    };
    sent.into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

/// What a part of a message shows as.
fn part_text(part: &Value) -> String {
    match text(part, "type") {
        "input_image" => image_reference(part),
        "input_file" => file_reference(part),
        "input_text" | "" => text(part, "text").to_owned(),
        _ => String::new(),
    }
}

/// The messages with the variables' values taken out again, the longest value first: a value may contain another.
fn template(instructions: &[Value], variables: &Map<String, Value>) -> Vec<Value> {
    let mut values: Vec<(String, &str)> = variables
        .iter()
        .map(|(name, value)| (shown(value), name.as_str()))
        .filter(|(value, _)| !matches!(value.as_str(), "" | "[image]" | "[file]"))
        .collect();
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    instructions
        .iter()
        .filter_map(|instruction| {
            let role = truthy(instruction, "role")?.as_str()?;
            let mut told: String = list(instruction, "content").iter().map(part_text).collect();
            if told.is_empty() {
                return None;
            }
            for (value, name) in &values {
                told = told.replace(value, &format!("{{{{{name}}}}}"));
            }
            Some(json!({"role": role, "content": told}))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_found_again_from_what_it_came_to() {
        let kept = json!({"id": "pmpt_1", "version": "2", "variables": {
            "name": "Ann", "full": "Ann Lee", "none": "",
            "pic": {"type": "input_image", "image_url": "data:image/png;base64,AA"},
        }});
        let answer = json!({"instructions": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Greet Ann Lee, Ann!"},
                {"type": "input_image"},
            ]},
            {"type": "message", "content": []},
        ]});
        let expected = json!({
            "id": "pmpt_1", "version": "2",
            "variables": {"name": "Ann", "full": "Ann Lee", "none": "", "pic": "[image]"},
            "chat_template": [{"role": "user", "content": "Greet {{full}}, {{name}}![image]"}],
        });
        assert_eq!(describe(&kept, &answer), Some(expected));
        assert!(is_multimodal(&kept));
        assert_eq!(describe(&json!({"variables": {}}), &answer), None);
    }
}
