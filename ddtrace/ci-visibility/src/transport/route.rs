//! Which address and which headers lead to an intake.

use std::time::Duration;

use ddtrace_core::config::{AgentUrl, Config, Secret};
use ddtrace_core::export::agent::{AgentClient, AgentInfo};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::Unavailable;
use crate::ci::Variables;
use crate::options::Options;

/// The parts of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subdomain {
    /// Events.
    TestCycle,
    /// Coverage of tests.
    TestCoverage,
    /// Questions.
    Api,
    /// Coverage reports.
    CiIntake,
    /// Logs.
    Logs,
    /// JUnit files.
    CiReport,
}

impl Subdomain {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Subdomain::TestCycle => "citestcycle-intake",
            Subdomain::TestCoverage => "citestcov-intake",
            Subdomain::Api => "api",
            Subdomain::CiIntake => "ci-intake",
            Subdomain::Logs => "http-intake.logs",
            Subdomain::CiReport => "cireport-intake",
        }
    }
}

/// Which proxy an agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Without compressed bodies.
    V2,
    /// With compressed bodies.
    V4,
}

/// The way to the backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Route {
    /// Through an agent.
    Agent {
        /// Its address.
        url: AgentUrl,
        /// Its proxy.
        proxy: Proxy,
    },
    /// Straight.
    Agentless {
        /// The site.
        site: String,
        /// One address for everything, in tests.
        url: Option<String>,
        /// The key.
        key: Secret,
        /// A proxy for HTTPS.
        https_proxy: Option<Secret>,
    },
}

const EVP_SUBDOMAIN: HeaderName = HeaderName::from_static("x-datadog-evp-subdomain");
const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");

/// How long an agent may take to say what it can do: it is near.
const INFO_LIMIT: Duration = Duration::from_secs(5);

impl Route {
    /// Finds the way, and the environment that the agent has as its default.
    pub async fn find(
        config: &Config,
        options: &Options,
        variables: &Variables,
    ) -> Result<(Route, Option<String>), Unavailable> {
        if options.agentless {
            let own = variables.get("_CI_DD_API_KEY").map(Secret::new);
            let key = own.or_else(|| config.api_key.clone());
            let route = Route::Agentless {
                site: config.site.clone(),
                url: options.agentless_url.clone(),
                key: key.ok_or(Unavailable::NoApiKey)?,
                https_proxy: config.proxy_https.clone(),
            };
            // Whether an address can be used at all shows before anything is sent.
            route.client(Subdomain::Api, INFO_LIMIT)?;
            return Ok((route, None));
        }
        let own = variables.get("_CI_DD_AGENT_URL").and_then(AgentUrl::parse);
        let url = own.unwrap_or_else(|| config.agent_url.clone());
        if matches!(url, AgentUrl::Https { .. }) {
            return Err(Unavailable::Settings(format!(
                "expected an http:// or unix:// address of an agent, found {url}"
            )));
        }
        let limit = options.request_timeout.min(INFO_LIMIT);
        let mut reason = String::new();
        for _ in 0..2 {
            let client = AgentClient::new(url.clone(), limit, HeaderMap::new());
            match AgentInfo::fetch(&client).await {
                Ok(Some(info)) => return Route::of_agent(url, info),
                Ok(None) => reason = "it does not answer /info".into(),
                Err(error) => reason = error.to_string(),
            }
        }
        let url = url.to_string();
        Err(Unavailable::NoAgent { url, reason })
    }

    fn of_agent(url: AgentUrl, info: AgentInfo) -> Result<(Route, Option<String>), Unavailable> {
        let proxy = if info.has_endpoint("/evp_proxy/v4/") {
            Proxy::V4
        } else if info.has_endpoint("/evp_proxy/v2/") {
            Proxy::V2
        } else {
            let url = url.to_string();
            return Err(Unavailable::NoProxy { url });
        };
        Ok((Route::Agent { url, proxy }, info.default_env))
    }

    /// Whether bodies may be compressed.
    pub fn takes_gzip(&self) -> bool {
        !matches!(
            self,
            Route::Agent {
                proxy: Proxy::V2,
                ..
            }
        )
    }

    /// What stands before every path.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Route::Agent {
                proxy: Proxy::V2, ..
            } => "/evp_proxy/v2",
            Route::Agent {
                proxy: Proxy::V4, ..
            } => "/evp_proxy/v4",
            Route::Agentless { .. } => "",
        }
    }

    /// A client for a part of the backend.
    pub(super) fn client(
        &self,
        subdomain: Subdomain,
        timeout: Duration,
    ) -> Result<Client, Unavailable> {
        let mut headers = HeaderMap::new();
        match self {
            Route::Agent { url, .. } => {
                let name = HeaderValue::from_static(subdomain.as_str());
                headers.insert(EVP_SUBDOMAIN, name);
                let client = AgentClient::new(url.clone(), timeout, headers);
                Ok(Client::Agent(client))
            }
            Route::Agentless {
                site,
                url,
                key,
                https_proxy,
            } => {
                let usual = || format!("https://{}.{site}", subdomain.as_str());
                let text = url.clone().unwrap_or_else(usual);
                let url = AgentUrl::parse(&text).filter(|url| !matches!(url, AgentUrl::Unix(_)));
                let url = url.ok_or_else(|| {
                    let expected = "expected an http:// or https:// address of an intake";
                    Unavailable::Settings(format!("{expected}, found {text}"))
                })?;
                if matches!(url, AgentUrl::Https { .. }) {
                    return tls_client(&text, key, https_proxy.as_ref(), timeout);
                }
                let mut value = HeaderValue::from_str(key.reveal()).map_err(|_| {
                    Unavailable::Settings("expected an API key of printable characters".into())
                })?;
                value.set_sensitive(true);
                headers.insert(API_KEY, value);
                Ok(Client::Agent(AgentClient::new(url, timeout, headers)))
            }
        }
    }
}

/// A client of core.
#[derive(Debug)]
pub(super) enum Client {
    Agent(AgentClient),
    #[cfg(feature = "agentless")]
    Intake(ddtrace_core::export::agentless::IntakeClient),
}

#[cfg(feature = "agentless")]
fn tls_client(
    url: &str,
    key: &Secret,
    https_proxy: Option<&Secret>,
    timeout: Duration,
) -> Result<Client, Unavailable> {
    let mut builder = ddtrace_core::export::agentless::IntakeClient::builder(url)
        .api_key(key.clone())
        .timeout(timeout);
    if let Some(proxy) = https_proxy {
        builder = builder.proxy(proxy.clone());
    }
    let client = builder.build();
    let client = client.map_err(|error| Unavailable::Settings(error.to_string()))?;
    Ok(Client::Intake(client))
}

#[cfg(not(feature = "agentless"))]
fn tls_client(
    _url: &str,
    _key: &Secret,
    _https_proxy: Option<&Secret>,
    _timeout: Duration,
) -> Result<Client, Unavailable> {
    Err(Unavailable::NoTls)
}
