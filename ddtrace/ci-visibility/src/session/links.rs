//! Pages about a run (`spec/ci-visibility.md` §7.16).

use super::Session;
use crate::model::tags::*;

impl Session {
    /// The page of the commit's tests; `None` if repository, branch or commit are not known.
    pub fn commit_page(&self) -> Option<String> {
        let tag = |name| self.tags().get(name).map(|value| encoded(value));
        Some(format!(
            "{}/ci/redirect/tests/{}/-/{}/-/{}/-/{}?env={}",
            self.app(),
            tag(GIT_REPOSITORY_URL)?,
            encoded(self.service()),
            tag(GIT_BRANCH)?,
            tag(GIT_COMMIT_SHA)?,
            encoded(self.env()),
        ))
    }

    /// The page of the job's tests; `None` outside of a job.
    pub fn job_page(&self) -> Option<String> {
        let tag = |name| self.tags().get(name);
        let query = format!(
            "@ci.job.name:\"{}\" @ci.pipeline.id:\"{}\"",
            tag(CI_JOB_NAME)?,
            tag(CI_PIPELINE_ID)?
        );
        let query = encoded(&query);
        Some(format!(
            "{}/ci/test-runs?query={query}&index=citest",
            self.app()
        ))
    }

    fn app(&self) -> String {
        app(&self.0.site, self.0.options.subdomain.as_deref())
    }
}

/// The address of the application of a site: sites of three parts have no `app` in front.
fn app(site: &str, subdomain: Option<&str>) -> String {
    match subdomain {
        Some(subdomain) => format!("https://{subdomain}.{site}"),
        None if site.split('.').count() == 3 => format!("https://{site}"),
        None => format!("https://app.{site}"),
    }
}

/// A text with everything but letters, digits and `-._~` as percent codes.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_site() {
        for (site, subdomain, expected) in [
            ("datadoghq.com", None, "https://app.datadoghq.com"),
            ("us3.datadoghq.com", None, "https://us3.datadoghq.com"),
            ("datadoghq.eu", Some("acme"), "https://acme.datadoghq.eu"),
        ] {
            assert_eq!(app(site, subdomain), expected);
        }
        assert_eq!(encoded("a/b c:ü~"), "a%2Fb%20c%3A%C3%BC~");
    }
}
