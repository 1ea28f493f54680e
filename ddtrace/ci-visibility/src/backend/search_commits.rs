//! Which commits the backend has (`spec/ci-visibility.md` §6.5).

use serde_json::Value;

use super::BadAnswer;
use crate::git::is_sha;

/// Reads an answer; what is not the name of a commit is left out, since it goes on a command line.
pub(super) fn parse(body: &[u8]) -> Result<Vec<String>, BadAnswer> {
    let answer = BadAnswer::read(body)?;
    let data = answer.get("data").and_then(Value::as_array);
    let commits = data.ok_or(BadAnswer::new("an array `data`"))?.iter();
    let commits = commits.filter(|item| item.get("type").is_some_and(|kind| kind == "commit"));
    let names = commits.filter_map(|item| item.get("id")?.as_str());
    Ok(names
        .filter(|name| is_sha(name))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_commits_are_taken() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let body = format!(
            r#"{{"data": [{{"id": "{sha}", "type": "commit"}}, {{"id": "--all", "type": "commit"}},
            {{"id": "{}", "type": "commit"}}, {{"id": "{sha}", "type": "x"}}, 3, {{"type": "commit"}}]}}"#,
            sha.to_uppercase()
        );
        assert_eq!(parse(body.as_bytes()).expect("valid"), [sha]);
        for body in ["{}", "[]", r#"{"data": {}}"#, "x"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
