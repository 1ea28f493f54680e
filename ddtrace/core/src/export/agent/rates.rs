//! Sampling rates in the agent's answers to traces.

use serde_json::{Map, Value};

/// The most rates that are taken from one answer.
const MAX_RATES: usize = 16 * 1024;

/// Reads `{"rate_by_service": {"service:a,env:b": 0.5}}` into pairs. `None` if the answer says
/// nothing about rates: they stay as they are. Rates that are not numbers from 0 to 1 are left out.
pub(super) fn parse(body: &[u8]) -> Option<Vec<(String, f64)>> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let Value::Object(rates) = object.remove("rate_by_service")? else {
        return None;
    };
    let rates = rates
        .into_iter()
        .filter_map(|(key, rate)| Some((key, rate.as_f64()?)));
    Some(
        rates
            .filter(|(_, rate)| (0.0..=1.0).contains(rate))
            .take(MAX_RATES)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pairs = &'static [(&'static str, f64)];

    #[test]
    fn rates_are_read_and_nonsense_is_left_out() {
        let cases: &[(&str, Option<Pairs>)] = &[
            (
                r#"{"rate_by_service": {"service:,env:": 0.5, "service:a,env:b": 1}}"#,
                Some(&[("service:,env:", 0.5), ("service:a,env:b", 1.0)]),
            ),
            (
                r#"{"rate_by_service": {"a": "x", "b": 2, "c": -1, "d": null, "e": 0}}"#,
                Some(&[("e", 0.0)]),
            ),
            (r#"{"rate_by_service": {}}"#, Some(&[])),
            (r#"{"rate_by_service": []}"#, None),
            ("{}", None),
            ("OK", None),
            ("", None),
            ("[1]", None),
        ];
        for (body, expected) in cases {
            let expected: Option<Vec<(String, f64)>> = expected.map(|pairs| {
                pairs
                    .iter()
                    .map(|(key, rate)| ((*key).to_owned(), *rate))
                    .collect()
            });
            assert_eq!(parse(body.as_bytes()), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
