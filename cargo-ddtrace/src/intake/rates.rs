//! The sampling rates that trace answers carry.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

/// The key of the rate for everything that has none of its own.
const EVERYTHING: &str = "service:,env:";

/// Rates by `service:…,env:…`, with a version that changes with them.
#[derive(Debug)]
pub struct Rates(Mutex<(BTreeMap<String, f64>, u64)>);

impl Default for Rates {
    fn default() -> Self {
        Rates(Mutex::new((
            BTreeMap::from([(EVERYTHING.to_owned(), 1.0)]),
            1,
        )))
    }
}

impl Rates {
    fn locked(&self) -> std::sync::MutexGuard<'_, (BTreeMap<String, f64>, u64)> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The version for `Datadog-Rates-Payload-Version`, and the body for a client that has `known`.
    pub fn answer(&self, known: Option<&str>) -> (String, String) {
        let (rates, version) = &*self.locked();
        let version = version.to_string();
        let body = if known == Some(version.as_str()) {
            "{}".to_owned()
        } else {
            json!({"rate_by_service": rates}).to_string()
        };
        (version, body)
    }

    /// Replaces the rates; everything else gets 1.
    pub fn replace(&self, body: &Value) -> Result<(), String> {
        let map = body["rates"]
            .as_object()
            .ok_or("expected {\"rates\": {…}}")?;
        let mut rates = BTreeMap::from([(EVERYTHING.to_owned(), 1.0)]);
        for (key, rate) in map {
            let rate = rate.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
            let rate =
                rate.ok_or_else(|| format!("the rate of {key:?} is not a number of 0 to 1"))?;
            if !(key.starts_with("service:") && key.contains(",env:")) {
                return Err(format!("{key:?} is not of the form service:NAME,env:NAME"));
            }
            rates.insert(key.clone(), rate);
        }
        let mut kept = self.locked();
        if kept.0 != rates {
            *kept = (rates, kept.1 + 1);
        }
        Ok(())
    }

    /// The rates as the API shows them.
    pub fn show(&self) -> Value {
        json!({"rates": self.locked().0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_rates_gets_none() {
        let rates = Rates::default();
        let (version, body) = rates.answer(None);
        assert_eq!(body, r#"{"rate_by_service":{"service:,env:":1.0}}"#);
        assert_eq!(rates.answer(Some(&version)).1, "{}");
        rates
            .replace(&json!({"rates": {"service:shop,env:": 0.5}}))
            .unwrap();
        let (changed, body) = rates.answer(Some(&version));
        assert_ne!(changed, version);
        assert_eq!(
            body,
            r#"{"rate_by_service":{"service:,env:":1.0,"service:shop,env:":0.5}}"#
        );
        assert!(
            rates
                .replace(&json!({"rates": {"service:shop,env:": 2}}))
                .is_err()
        );
    }
}
