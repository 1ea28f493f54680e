//! The calls that are counted, a file for each kind of library.

mod database;
mod grpc;
mod http_client;
mod http_server;

use std::fmt;

use tokio::runtime::{Builder, Runtime};

/// Makes so many calls.
pub(crate) type Calls = Box<dyn FnMut(u32)>;

/// A call of a library.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The variable that switches the integration off.
    pub(crate) switch: &'static str,
    /// What else is set.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) is_client: bool,
    /// Sets the call up, through the integration or not.
    pub(crate) make: fn(is_traced: bool) -> Calls,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    const fn server(name: &'static str, switch: &'static str, make: fn(bool) -> Calls) -> Self {
        Self {
            name,
            switch,
            variables: &[],
            is_client: false,
            make,
        }
    }

    const fn client(name: &'static str, switch: &'static str, make: fn(bool) -> Calls) -> Self {
        Self {
            is_client: true,
            ..Self::server(name, switch, make)
        }
    }

    const fn with(mut self, variables: &'static [(&'static str, &'static str)]) -> Self {
        self.variables = variables;
        self
    }
}

pub(crate) static CASES: &[Case] = &[
    Case::server("axum", "DD_TRACE_AXUM_ENABLED", http_server::new_trace),
    Case::server(
        "axum continued",
        "DD_TRACE_AXUM_ENABLED",
        http_server::continued,
    ),
    Case::client("hyper client", "DD_TRACE_HYPER_ENABLED", http_client::hyper),
    Case::client("reqwest", "DD_TRACE_REQWEST_ENABLED", http_client::reqwest),
    Case::client("sqlx", "DD_TRACE_SQLX_ENABLED", database::sqlx),
    Case::client("sqlx commented", "DD_TRACE_SQLX_ENABLED", database::sqlx)
        .with(&[("DD_DBM_PROPAGATION_MODE", "full")]),
    Case::client(
        "tokio-postgres",
        "DD_TRACE_TOKIO_POSTGRES_ENABLED",
        database::postgres,
    ),
    Case::client("redis", "DD_TRACE_REDIS_ENABLED", database::redis),
    Case::client(
        "redis pipeline",
        "DD_TRACE_REDIS_ENABLED",
        database::redis_pipeline,
    ),
    Case::server("tonic server", "DD_TRACE_TONIC_ENABLED", grpc::server),
    Case::client("tonic client", "DD_TRACE_TONIC_ENABLED", grpc::client),
];

pub(crate) fn named(name: &str) -> &'static Case {
    let found = CASES.iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no case is called {name}; there are {CASES:?}"))
}

/// A runtime on the calling thread.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
