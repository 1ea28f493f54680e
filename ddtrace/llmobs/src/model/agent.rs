//! What an agent is made of.

use serde_json::{Map, Value, json};

/// Settings of a model that may be reported. Others are left out: they may hold secrets.
const SETTINGS: [&str; 14] = [
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "parallel_tool_calls",
    "presence_penalty",
    "seed",
    "stop_sequences",
    "temperature",
    "timeout",
    "tool_choice",
    "top_k",
    "top_logprobs",
    "top_p",
];

/// Values in one manifest, and levels of them, at most.
const NODES: usize = 10_000;
const DEPTH: usize = 20;

/// An agent, as a program declares it on its span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// Its version, which becomes the tag `agent_version`.
    pub version: Option<String>,
    /// Its name; that of the span when missing.
    pub name: Option<String>,
    /// What it is told.
    pub instructions: Option<String>,
    /// The model that decides.
    pub model: Option<String>,
    /// How that model is called. Only well-known settings are reported.
    pub model_settings: Map<String, Value>,
    /// The tools that it may call.
    pub tools: Vec<AgentTool>,
}

/// A tool of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentTool {
    /// Its name. A tool without one is left out.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON schema of its arguments, or just its `properties`.
    pub parameters: Value,
}

impl Agent {
    /// The manifest; empty if nothing is declared but a version.
    pub(crate) fn manifest(&self) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, text) in [
            ("name", &self.name),
            ("instructions", &self.instructions),
            ("model", &self.model),
        ] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                map.insert(key.into(), text.into());
            }
        }
        let mut budget = NODES;
        let settings: Map<_, _> = self
            .model_settings
            .iter()
            .filter(|(key, _)| SETTINGS.contains(&key.as_str()))
            .filter(|(_, value)| {
                !value.is_null() && is_flat(value) && fits(value, DEPTH, &mut budget)
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !settings.is_empty() {
            map.insert("model_settings".into(), settings.into());
        }
        let mut tools = Vec::new();
        for tool in self.tools.iter().filter(|tool| !tool.name.is_empty()) {
            let value = tool.to_value();
            if !fits(&value, DEPTH, &mut budget) {
                break;
            }
            tools.push(value);
        }
        if !tools.is_empty() {
            map.insert("tools".into(), tools.into());
        }
        if !map.is_empty() {
            map.insert("framework".into(), "manual".into());
        }
        map
    }
}

impl AgentTool {
    fn to_value(&self) -> Value {
        let mut map = Map::from_iter([("name".to_owned(), json!(self.name))]);
        if let Some(text) = self.description.as_deref().filter(|text| !text.is_empty()) {
            map.insert("description".into(), text.into());
        }
        let parameters = parameters(&self.parameters);
        if !parameters.is_empty() {
            map.insert("parameters".into(), parameters.into());
        }
        map.into()
    }
}

/// A schema as `{name: {type, required: true?}}`.
fn parameters(schema: &Value) -> Map<String, Value> {
    let properties = match schema.get("properties") {
        Some(Value::Object(properties)) => properties,
        _ => match schema {
            Value::Object(properties) => properties,
            _ => return Map::new(),
        },
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|it| it == name));
    let flat = properties.iter().map(|(name, property)| {
        let mut entry = Map::new();
        if let Some(Value::String(text)) = property.get("type") {
            entry.insert("type".into(), text.clone().into());
        }
        if is_required(name) {
            entry.insert("required".into(), true.into());
        }
        (name.clone(), entry.into())
    });
    flat.collect()
}

/// Whether it is a value, or a list or map of values.
fn is_flat(value: &Value) -> bool {
    let is_leaf = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::Array(items) => items.iter().all(is_leaf),
        Value::Object(map) => map.values().all(is_leaf),
        _ => true,
    }
}

/// Whether a value is small enough; takes what it is from the budget.
fn fits(value: &Value, depth: usize, budget: &mut usize) -> bool {
    let (Some(depth), Some(rest)) = (depth.checked_sub(1), budget.checked_sub(1)) else {
        return false;
    };
    *budget = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, depth, budget)),
        Value::Object(map) => map.values().all(|item| fits(item, depth, budget)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_secret_and_what_has_no_name_is_left_out() {
        let agent = Agent {
            version: Some("3".into()),
            model: Some("m".into()),
            model_settings: Map::from_iter([
                ("temperature".to_owned(), json!(0.5)),
                ("api_key".to_owned(), json!("secret")),
            ]),
            tools: vec![
                AgentTool::default(),
                AgentTool {
                    name: "search".into(),
                    description: None,
                    parameters: json!({"properties": {"q": {"type": "string"}, "n": {}}, "required": ["q"]}),
                },
            ],
            ..Agent::default()
        };
        assert_eq!(
            Value::Object(agent.manifest()),
            json!({
                "model": "m", "model_settings": {"temperature": 0.5}, "framework": "manual",
                "tools": [{"name": "search", "parameters": {"q": {"type": "string", "required": true}, "n": {}}}],
            })
        );
        let versioned = Agent {
            version: Some("3".into()),
            ..Agent::default()
        };
        assert!(versioned.manifest().is_empty());
    }

    #[test]
    fn a_manifest_has_bounds() {
        let tool = |index: usize| AgentTool {
            name: index.to_string(),
            ..AgentTool::default()
        };
        let agent = Agent {
            tools: (0..20_000).map(tool).collect(),
            ..Agent::default()
        };
        assert_eq!(
            agent.manifest()["tools"].as_array().unwrap().len(),
            NODES / 2
        );
    }
}
