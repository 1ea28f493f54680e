//! Parameters of the address.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::Query;

use super::error::ApiError;

/// The parameters of a request; unknown ones are ignored.
pub type Raw = Query<HashMap<String, String>>;

/// Reads parameters.
#[derive(Debug)]
pub struct Parameters(HashMap<String, String>);

impl From<Raw> for Parameters {
    fn from(Query(map): Raw) -> Parameters {
        Parameters(map)
    }
}

impl Parameters {
    /// A text; empty counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A text that may be empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| ApiError::parameter(name, "a number"))
            })
            .transpose()
    }

    /// A switch.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(ApiError::parameter(name, "true or false")),
        }
    }

    /// How many entries to list.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.number("limit")? {
            None => Ok(100),
            Some(limit @ 1..=1000) => Ok(limit),
            Some(_) => Err(ApiError::parameter("limit", "1 to 1000")),
        }
    }

    /// A time to look back; `None` is everything.
    pub fn window(&self) -> Result<Option<Duration>, ApiError> {
        match self.text("window") {
            None => Ok(Some(Duration::from_secs(300))),
            Some("all") => Ok(None),
            Some(text) => duration(text)
                .map(Some)
                .ok_or_else(|| ApiError::parameter("window", "a time such as 30s, 5m, 2h, or all")),
        }
    }

    /// A time.
    pub fn duration(&self, name: &str, otherwise: Duration) -> Result<Duration, ApiError> {
        match self.text(name) {
            None => Ok(otherwise),
            Some(text) => duration(text)
                .ok_or_else(|| ApiError::parameter(name, "a time such as 500ms or 5s")),
        }
    }
}

/// Reads `500ms`, `5s`, `5m`, `2h`; a bare number is seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let unit = match &text[split..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let n: f64 = text[..split].parse().ok()?;
    Duration::try_from_secs_f64(n * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Some(Duration::from_secs(90)));
        for bad in ["", "s", "5x", "-1s", "1e400s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
