//! What a call's path says, and what kind of method it is.

use ddtrace_core::trace::{Span, Tag, Value};

/// Which sides send more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) client_streams: bool,
    pub(crate) server_streams: bool,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match (self.client_streams, self.server_streams) {
            (false, false) => "unary",
            (true, false) => "client_streaming",
            (false, true) => "server_streaming",
            (true, true) => "bidi_streaming",
        }
    }
}

/// A path like `/package.Service/Method`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Method<'a> {
    package_and_service: &'a str,
    package: Option<&'a str>,
    service: &'a str,
    name: &'a str,
}

impl<'a> Method<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let (package_and_service, name) = path.strip_prefix('/')?.rsplit_once('/')?;
        let (package, service) = match package_and_service.rsplit_once('.') {
            Some((package, service)) => (Some(package), service),
            None => (None, package_and_service),
        };
        Some(Self {
            package_and_service,
            package,
            service,
            name,
        })
    }
}

/// Writes what the path says.
pub(crate) fn describe(span: &mut Span, path: &str) {
    span.set_resource(path);
    let method = Method::of(path);
    let tag = |key, of: fn(Method<'_>) -> Option<&str>| Tag {
        key,
        value: method.and_then(of).map_or(Value::Absent, Value::Text),
    };
    span.set_tags(&[
        Tag {
            key: "grpc.method.path",
            value: Value::Text(path),
        },
        tag("rpc.service", |method| Some(method.package_and_service)),
        tag("grpc.method.package", |method| method.package),
        tag("grpc.method.service", |method| Some(method.service)),
        tag("grpc.method.name", |method| Some(method.name)),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        // As the reference's `parse_method_path`.
        for (path, expected) in [
            (
                "/helloworld.Hello/SayHello",
                Some(("helloworld.Hello", Some("helloworld"), "Hello", "SayHello")),
            ),
            ("/a.b.C/D", Some(("a.b.C", Some("a.b"), "C", "D"))),
            (
                "/Hello/SayHello",
                Some(("Hello", None, "Hello", "SayHello")),
            ),
            ("/", None),
            ("", None),
            ("SayHello", None),
        ] {
            let found = Method::of(path)
                .map(|it| (it.package_and_service, it.package, it.service, it.name));
            assert_eq!(found, expected, "{path}");
        }
    }
}
