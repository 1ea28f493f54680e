//! Tokens and costs.

use serde_json::Value;

use super::super::exchange::Exchange;
use super::super::json::{number, truthy};

/// Takes tokens and costs from the field `usage` of an answer.
pub(super) fn read(exchange: &mut Exchange, usage: &Value) {
    if !usage.is_object() {
        return;
    }
    let first = |keys: [&str; 2]| {
        let known = |key: &&str| number(usage, &[*key]).is_some_and(|tokens| tokens != 0.0);
        let key = keys.iter().find(|key| known(key)).unwrap_or(&keys[0]);
        number(usage, &[key]).unwrap_or(0.0)
    };
    let input = first(["prompt_tokens", "input_tokens"]);
    let output = first(["completion_tokens", "output_tokens"]);
    exchange.tokens(Some(input), Some(output));
    let input = details(usage, ["prompt_tokens_details", "input_tokens_details"]);
    let output = details(
        usage,
        ["completion_tokens_details", "output_tokens_details"],
    );
    exchange.metric("cache_read_input_tokens", number(input, &["cached_tokens"]));
    exchange.metric(
        "cache_write_input_tokens",
        number(input, &["cache_write_tokens"]),
    );
    exchange.metric(
        "reasoning_output_tokens",
        number(output, &["reasoning_tokens"]),
    );
    costs(exchange, usage);
}

fn details<'a>(usage: &'a Value, keys: [&str; 2]) -> &'a Value {
    let found = keys.into_iter().find_map(|key| truthy(usage, key));
    found.unwrap_or(&Value::Null)
}

/// What OpenRouter says that the call cost, in US dollars. With the customer's own key the provider's part comes on top;
/// the split is told only if it adds up, because it does not cover the router's own fee.
fn costs(exchange: &mut Exchange, usage: &Value) {
    let Some(cost) = number(usage, &["cost"]) else {
        return;
    };
    let details = usage.get("cost_details").unwrap_or(&Value::Null);
    let upstream = number(details, &["upstream_inference_cost"]);
    let own_key = usage.get("is_byok") == Some(&Value::Bool(true));
    let total = cost + upstream.filter(|_| own_key).unwrap_or(0.0);
    exchange.metric("total_cost", Some(total));
    let input = number(details, &["upstream_inference_prompt_cost"]);
    let output = number(details, &["upstream_inference_completions_cost"]);
    if let (Some(input), Some(output)) = (input, output) {
        let nano = |dollars: f64| (dollars * 1e9).round();
        if nano(input + output) == nano(total) {
            exchange.metric("input_cost", Some(input));
            exchange.metric("output_cost", Some(output));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_and_costs_are_those_of_the_dossier() {
        // The two OpenRouter cases are section 22.4 of the dossier.
        type Expected<'a> = &'a [(&'a str, f64)];
        let cases: [(Value, Expected<'_>); 6] = [
            (
                json!({"cost": 0.00015, "cost_details": {"upstream_inference_prompt_cost": 0.0001, "upstream_inference_completions_cost": 0.00005}}),
                &[
                    ("input_cost", 0.0001),
                    ("input_tokens", 0.0),
                    ("output_cost", 0.00005),
                    ("output_tokens", 0.0),
                    ("total_cost", 0.00015),
                    ("total_tokens", 0.0),
                ],
            ),
            (
                json!({"cost": 0, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.02}}),
                &[
                    ("input_tokens", 0.0),
                    ("output_tokens", 0.0),
                    ("total_cost", 0.02),
                    ("total_tokens", 0.0),
                ],
            ),
            (
                json!({"prompt_tokens": 11, "completion_tokens": 9, "total_tokens": 20,
                    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 5}}),
                &[
                    ("cache_read_input_tokens", 4.0),
                    ("cache_write_input_tokens", 3.0),
                    ("input_tokens", 11.0),
                    ("output_tokens", 9.0),
                    ("reasoning_output_tokens", 5.0),
                    ("total_tokens", 20.0),
                ],
            ),
            (
                json!({"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}),
                &[
                    ("cache_read_input_tokens", 0.0),
                    ("input_tokens", 7.0),
                    ("output_tokens", 2.0),
                    ("total_tokens", 9.0),
                ],
            ),
            (json!(null), &[]),
            (json!("many"), &[]),
        ];
        for (usage, expected) in cases {
            let mut exchange = Exchange::default();
            read(&mut exchange, &usage);
            let found: Vec<(&str, f64)> = exchange.metrics.into_iter().collect();
            assert_eq!(found, expected, "{usage}");
        }
    }
}
