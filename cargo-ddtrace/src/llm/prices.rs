//! What calls cost where nobody says: tokens by list prices.
//!
//! Costs that a span carries come first; this is for the rest, and every sum that holds such a figure is marked. The
//! prices are those that the providers listed in the middle of 2025, in dollars per million tokens; a file
//! `llm_prices.json` in the data folder, `{"model": [input, output]}`, adds to them and corrects them.

use std::collections::BTreeMap;
use std::path::Path;

use super::span::{Cost, Span};

/// When the prices were listed.
pub const LISTED: &str = "2025-06";

/// Beginning of a model's name, dollars per million tokens in and out. The longest beginning that fits counts.
const LIST: &[(&str, f64, f64)] = &[
    ("claude-3-5-haiku", 0.80, 4.0),
    ("claude-3-5-sonnet", 3.0, 15.0),
    ("claude-3-7-sonnet", 3.0, 15.0),
    ("claude-3-haiku", 0.25, 1.25),
    ("claude-3-opus", 15.0, 75.0),
    ("claude-opus-4", 15.0, 75.0),
    ("claude-sonnet-4", 3.0, 15.0),
    ("gemini-1.5-flash", 0.075, 0.30),
    ("gemini-2.0-flash", 0.10, 0.40),
    ("gemini-2.5-flash", 0.30, 2.50),
    ("gemini-2.5-pro", 1.25, 10.0),
    ("gpt-3.5-turbo", 0.50, 1.50),
    ("gpt-4-turbo", 10.0, 30.0),
    ("gpt-4.1", 2.0, 8.0),
    ("gpt-4.1-mini", 0.40, 1.60),
    ("gpt-4.1-nano", 0.10, 0.40),
    ("gpt-4o", 2.50, 10.0),
    ("gpt-4o-mini", 0.15, 0.60),
    ("o3", 2.0, 8.0),
    ("o4-mini", 1.10, 4.40),
    ("text-embedding-3-large", 0.13, 0.0),
    ("text-embedding-3-small", 0.02, 0.0),
    ("text-embedding-ada-002", 0.10, 0.0),
];

/// Prices by the beginning of a model's name.
#[derive(Debug)]
pub struct Prices(BTreeMap<String, (f64, f64)>);

impl Default for Prices {
    fn default() -> Prices {
        let list = LIST
            .iter()
            .map(|(model, input, output)| ((*model).to_owned(), (*input, *output)));
        Prices(list.collect())
    }
}

impl Prices {
    /// The list, corrected by a file of the data folder.
    pub fn open(data: Option<&Path>) -> Prices {
        let mut prices = Prices::default();
        let own = data
            .and_then(|data| std::fs::read(data.join("llm_prices.json")).ok())
            .filter(|bytes| bytes.len() < 1 << 20)
            .and_then(|bytes| serde_json::from_slice::<BTreeMap<String, (f64, f64)>>(&bytes).ok());
        prices.0.extend(own.unwrap_or_default());
        prices
    }

    /// What a span cost; only calls of models cost something by themselves.
    pub fn cost(&self, span: &Span) -> Option<Cost> {
        let said = span.metric("total_cost").or_else(|| {
            match (span.metric("input_cost"), span.metric("output_cost")) {
                (None, None) => None,
                (input, output) => Some(input.unwrap_or(0.0) + output.unwrap_or(0.0)),
            }
        });
        if let Some(total) = said {
            return Some(Cost {
                total,
                is_estimated: false,
            });
        }
        if !matches!(span.kind.as_str(), "llm" | "embedding") {
            return None;
        }
        let (input, output) = (span.metric("input_tokens"), span.metric("output_tokens"));
        if input.is_none() && output.is_none() {
            return None;
        }
        let (price_in, price_out) = self.of(&span.model)?;
        let total = input.unwrap_or(0.0) * price_in + output.unwrap_or(0.0) * price_out;
        Some(Cost {
            total: total / 1e6,
            is_estimated: true,
        })
    }

    fn of(&self, model: &str) -> Option<(f64, f64)> {
        // Gateways put the provider's name before the model's.
        let model = model.rsplit('/').next().unwrap_or(model);
        let fits = |known: &&String| model.starts_with(known.as_str());
        let longest = self.0.keys().filter(fits).max_by_key(|known| known.len())?;
        self.0.get(longest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cost(model: &str, metrics: serde_json::Value) -> Option<Cost> {
        let event =
            json!({"meta": {"span": {"kind": "llm"}, "model_name": model}, "metrics": metrics});
        Span::read(
            &event,
            super::super::span::Transport::Intake,
            &Prices::default(),
        )
        .cost
    }

    #[test]
    fn what_is_said_comes_before_what_is_reckoned() {
        let tokens = json!({"input_tokens": 1_000_000, "output_tokens": 100_000});
        assert_eq!(
            cost("gpt-4o-2024-08-06", tokens.clone()),
            Some(Cost {
                total: 3.5,
                is_estimated: true
            })
        );
        assert_eq!(
            cost("openai/gpt-4o-mini", tokens.clone()),
            Some(Cost {
                total: 0.21,
                is_estimated: true
            })
        );
        assert_eq!(cost("something-else", tokens.clone()), None);
        // spec/llmobs.md §22.4: what OpenRouter says it cost.
        let said = json!({"input_cost": 0.0001, "output_cost": 0.00005, "total_cost": 0.00015, "input_tokens": 5});
        assert_eq!(
            cost("gpt-4o", said),
            Some(Cost {
                total: 0.00015,
                is_estimated: false
            })
        );
    }

    #[test]
    fn a_file_corrects_the_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("llm_prices.json"),
            r#"{"gpt-4o": [1, 2], "own": [3, 4]}"#,
        )
        .unwrap();
        let prices = Prices::open(Some(folder.path()));
        assert_eq!(
            (prices.of("gpt-4o"), prices.of("own-7b"), prices.of("o3")),
            (Some((1.0, 2.0)), Some((3.0, 4.0)), Some((2.0, 8.0)))
        );
    }
}
