//! What spans of HTTP servers and clients say, by the user's settings.
//!
//! [`crate::http`] has the rules one by one; here they are set up from a configuration, and applied to a span, the same
//! way for every library. An integration gets them with [`Enabled::http`](super::Enabled::http).

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, REFERER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::config::{Config, QueryObfuscation};
use crate::http::{
    ClientIp, ErrorStatuses, HeaderTags, MAX_PARTS, Peer, QueryTagging, UrlParts, endpoint,
    endpoint_parts, hostname, sanitize_url,
};
use crate::trace::{Span, Tag, Value};

/// The settings about HTTP, ready for use.
#[derive(Debug)]
pub struct HttpRules {
    errors: ErrorStatuses,
    server_query: QueryTagging,
    client_query: QueryTagging,
    header_tags: HeaderTags,
    /// Nothing if addresses are not to be recorded.
    client_ip: Option<ClientIp>,
    endpoints: Endpoints,
}

/// Which server spans get the kind of endpoint that their path looks like (`http.endpoint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoints {
    Never,
    WithoutRoute,
    Always,
}

/// A request that a server has received, by the types that most of them have in common.
#[derive(Clone, Copy, Debug)]
pub struct ServerRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as it stood in the request: mostly a path and a query.
    pub uri: &'a Uri,
    /// The version of the protocol.
    pub version: Version,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who holds the other end of the connection.
    pub peer: Option<SocketAddr>,
}

impl HttpRules {
    pub(super) fn new(config: &Config) -> Self {
        let mut header_tags = HeaderTags::default();
        for (header, tag) in &config.header_tags {
            header_tags.add(header, tag);
        }
        Self {
            errors: ErrorStatuses::from_ranges(&config.http_server_error_statuses),
            server_query: query_tagging(
                config.http_server_tag_query_string,
                &config.query_obfuscation,
            ),
            client_query: query_tagging(
                config.http_client_tag_query_string,
                &config.query_obfuscation,
            ),
            header_tags,
            client_ip: config
                .client_ip_enabled
                .then(|| ClientIp::new(config.client_ip_header.as_deref())),
            endpoints: match (config.resource_renaming, config.resource_renaming_always) {
                (false, _) => Endpoints::Never,
                (true, false) => Endpoints::WithoutRoute,
                (true, true) => Endpoints::Always,
            },
        }
    }

    /// Writes what a server knows before it answers. Gives the client's address, if addresses are recorded.
    pub fn tag_server_request(
        &self,
        span: &mut Span,
        request: ServerRequest<'_>,
    ) -> Option<IpAddr> {
        let ServerRequest {
            method,
            uri,
            version,
            headers,
            peer,
        } = request;
        let host = uri
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| text(headers, &HOST));
        let url = UrlParts {
            scheme: uri.scheme_str().unwrap_or(Scheme::HTTP.as_str()),
            host: host.unwrap_or_default(),
            path: uri.path(),
            query: uri.query(),
        };
        url.with_tag(&self.server_query, |parts| {
            span.set_tag_joined("http.url", parts);
        });
        span.set_tags(&[
            Tag {
                key: "http.method",
                value: method_text(method),
            },
            Tag {
                key: "http.version",
                value: version_number(version),
            },
            Tag {
                key: "_dd.measured",
                value: Value::Number(1.0),
            },
            Tag {
                key: "http.useragent",
                value: text(headers, &USER_AGENT).map_or(Value::Absent, Value::Text),
            },
            Tag {
                key: "http.referrer_hostname",
                value: text(headers, &REFERER)
                    .and_then(hostname)
                    .map_or(Value::Absent, Value::Text),
            },
        ]);
        self.header_tags
            .of_request(headers, |tag, value| span.set_tag(tag.to_owned(), value));
        let client_ip = self.client_ip.as_ref()?;
        let peer = peer.map(|peer| peer.ip());
        if let Some(peer) = peer {
            span.set_tag("network.client.ip", peer.to_string());
        }
        let client = client_ip.find(headers, peer)?;
        span.set_tag("http.client_ip", client.to_string());
        Some(client)
    }

    /// Writes what kind of endpoint a server's request was for, by its path, if the framework had no route for it or the
    /// user does not want to rely on that.
    pub fn tag_endpoint(&self, span: &mut Span, path: &str, has_route: bool, status: StatusCode) {
        let wanted = match self.endpoints {
            Endpoints::Never => false,
            Endpoints::WithoutRoute => !has_route && status != StatusCode::NOT_FOUND,
            Endpoints::Always => status != StatusCode::NOT_FOUND,
        };
        if wanted {
            span.set_tag("http.endpoint", endpoint(path));
        }
    }

    /// Whether [`tag_endpoint`](Self::tag_endpoint) may need the path of a request.
    pub fn tags_endpoints(&self) -> bool {
        self.endpoints != Endpoints::Never
    }

    /// Writes what a client knows before it sends; `url` is absolute.
    pub fn tag_client_request(
        &self,
        span: &mut Span,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
    ) {
        let Peer { host, port } = Peer::of(url);
        let host = host.map_or(Value::Absent, Value::Text);
        let url = sanitize_url(url, &self.client_query);
        span.set_tags(&[
            Tag {
                key: "http.method",
                value: method_text(method),
            },
            Tag {
                key: "http.url",
                value: Value::Text(&url),
            },
            Tag {
                key: "out.host",
                value: host,
            },
            Tag {
                key: "server.address",
                value: host,
            },
            Tag {
                key: "network.destination.port",
                value: port.map_or(Value::Absent, |port| Value::Number(port.into())),
            },
        ]);
        self.header_tags
            .of_request(headers, |tag, value| span.set_tag(tag.to_owned(), value));
    }

    /// Whether a status marks a span as failed, for spans that say the rest by themselves.
    pub fn is_error(&self, status: u16) -> bool {
        self.errors.contains(status)
    }

    /// Writes what the head of a response says, for servers and clients alike; some statuses mark the span as failed.
    pub fn tag_response(&self, span: &mut Span, status: StatusCode, headers: &HeaderMap) {
        span.set_tags(&[Tag {
            key: "http.status_code",
            value: Value::Text(status.as_str()),
        }]);
        if self.errors.contains(status.as_u16()) {
            span.set_error_flag(true);
        }
        self.header_tags
            .of_response(headers, |tag, value| span.set_tag(tag.to_owned(), value));
    }
}

fn query_tagging(is_on: bool, obfuscation: &QueryObfuscation) -> QueryTagging {
    let expression = match obfuscation {
        QueryObfuscation::BuiltIn => None,
        QueryObfuscation::Pattern(pattern) => Some(pattern.as_str()),
        QueryObfuscation::Off => Some(""),
        QueryObfuscation::Invalid => return QueryTagging::new(false, None).0,
    };
    // A pattern that is invalid after all switches queries off; who read the setting has said so already.
    QueryTagging::new(is_on, expression).0
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn version_number(version: Version) -> Value<'static> {
    Value::Static(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return Value::Absent,
    })
}

/// Sets the resource of a request to its method and what kind of endpoint its path is: `GET /users/{param:int}`.
pub fn set_resource_by_path(span: &mut Span, method: &Method, path: &str) {
    let mut endpoint = [""; MAX_PARTS];
    let length = endpoint_parts(path, &mut endpoint);
    let mut parts = [""; MAX_PARTS + 2];
    parts[..2].copy_from_slice(&[method.as_str(), " "]);
    parts[2..length + 2].copy_from_slice(&endpoint[..length]);
    span.set_resource_joined(&parts[..length + 2]);
}

/// The methods that almost every request has live as long as the program.
fn method_text(method: &Method) -> Value<'_> {
    match *method {
        Method::GET => Value::Static("GET"),
        Method::POST => Value::Static("POST"),
        Method::PUT => Value::Static("PUT"),
        Method::DELETE => Value::Static("DELETE"),
        _ => Value::Text(method.as_str()),
    }
}
