//! Kinds of databases, and where a particular one is.

use std::path::Path;

use crate::trace::{Site, Span, Tag, Value};

/// A kind of database: how it is called in names and tags, and what to make of its answers.
///
/// Lives in a static of the integration, next to the sites of its spans.
#[derive(Debug)]
pub struct System {
    /// `db.system`.
    pub(super) name: &'static str,
    /// The service of its spans under schema `v0`.
    pub(super) service: &'static str,
    /// The operation of a statement under schema `v1`.
    pub(super) v1_query: &'static str,
    /// Whether a statement that only reads reports the changes of an earlier one.
    pub(super) reports_stale_changes: bool,
    pub(super) sites: Sites,
}

/// The sites of a system's spans, declared by the integration.
#[derive(Debug)]
pub struct Sites {
    /// A statement: `postgres.query`.
    pub query: &'static Site,
    /// The commit of a transaction: `postgres.connection.commit`.
    pub commit: &'static Site,
    /// The rollback of one: `postgres.connection.rollback`.
    pub rollback: &'static Site,
    /// A connection that is opened: `postgres.connect`.
    pub connect: &'static Site,
}

impl System {
    /// PostgreSQL.
    pub const fn postgres(sites: Sites) -> Self {
        Self {
            name: "postgresql",
            service: "postgres",
            v1_query: "postgresql.query",
            reports_stale_changes: false,
            sites,
        }
    }

    /// MySQL, and MariaDB, which the libraries cannot tell from it.
    pub const fn mysql(sites: Sites) -> Self {
        Self {
            name: "mysql",
            service: "mysql",
            v1_query: "mysql.query",
            reports_stale_changes: false,
            sites,
        }
    }

    /// SQLite.
    pub const fn sqlite(sites: Sites) -> Self {
        Self {
            name: "sqlite",
            service: "sqlite",
            v1_query: "sqlite.query",
            reports_stale_changes: true,
            sites,
        }
    }
}

/// Where queries go. What is not known is left out of the tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
}

impl Target {
    /// A server at the other end of a network.
    pub fn server(host: &str, port: u16, database: &str, user: &str) -> Self {
        Self {
            host: Some(host.to_owned()),
            port: Some(port),
            ..Self::somewhere(database, user)
        }
    }

    /// A server behind a Unix socket, or behind the folder that holds it.
    pub fn socket(socket: &Path, database: &str, user: &str) -> Self {
        Self {
            host: Some(socket.to_string_lossy().into_owned()),
            ..Self::somewhere(database, user)
        }
    }

    /// A database in a file, called as the file is, without its folder; one in memory is called `:memory:`.
    pub fn file(path: &Path) -> Self {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        let in_memory =
            name.is_empty() || name.contains(":memory:") || name.starts_with("file:sqlx-in-memory");
        Self {
            database: Some(if in_memory {
                ":memory:".to_owned()
            } else {
                name.into_owned()
            }),
            ..Self::default()
        }
    }

    /// One that nobody knows the address of.
    pub fn somewhere(database: &str, user: &str) -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            database: known(database),
            user: known(user),
            ..Self::default()
        }
    }

    pub(super) fn tag(&self, span: &mut Span) {
        fn text(value: &Option<String>) -> Value<'_> {
            value.as_deref().map_or(Value::Absent, Value::Text)
        }
        span.set_tags(&[
            Tag {
                key: "db.name",
                value: text(&self.database),
            },
            Tag {
                key: "db.user",
                value: text(&self.user),
            },
            Tag {
                key: "out.host",
                value: text(&self.host),
            },
            Tag {
                key: "server.address",
                value: text(&self.host),
            },
            Tag {
                key: "network.destination.port",
                value: self
                    .port
                    .map_or(Value::Absent, |port| Value::Number(port.into())),
            },
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_their_names_and_memory_as_such() {
        let cases = [
            ("/var/lib/shop/orders.db", "orders.db"),
            ("orders.db", "orders.db"),
            (":memory:", ":memory:"),
            ("file:sqlx-in-memory-3", ":memory:"),
            ("", ":memory:"),
        ];
        for (path, name) in cases {
            assert_eq!(
                Target::file(Path::new(path)).database.as_deref(),
                Some(name),
                "{path}"
            );
        }
    }
}
