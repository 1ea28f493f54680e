//! The agent itself: sockets, connections, and the tasks that run beside them.

pub mod listen;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::api::{self, Inner, Shared};
use crate::forward::Forward;
use crate::intake::info::{Info, Settings};
use crate::security::{Policy, guard_intake, guard_own, token};
use crate::store::{Limits, Store, now};
use crate::{intake, viewer};
use listen::{Connections, Sockets};

/// How an agent is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The TCP port; 0 takes any, `None` none.
    pub port: Option<u16>,
    /// Addresses to listen on; empty is 127.0.0.1 and ::1.
    pub listen: Vec<std::net::IpAddr>,
    /// A Unix socket to listen on as well.
    pub socket: Option<PathBuf>,
    /// Bounds of the store.
    pub limits: Limits,
    /// Answer 400 to what a real Agent would throw away or change.
    pub strict: bool,
    /// Where to pass requests on to.
    pub forward: Option<String>,
    /// See [`Settings`].
    pub advertise: Vec<String>,
    /// See [`Settings`].
    pub hide: Vec<String>,
    /// See [`Settings`].
    pub keep_all: bool,
    /// Who may ask what.
    pub policy: Policy,
    /// Page files from disk instead of the embedded ones.
    pub assets: Option<PathBuf>,
    /// Where test sessions are kept over restarts, and where answers about tests may lie.
    pub data: Option<PathBuf>,
    /// Whether test sessions are asked for coverage, since whoever starts them here decides by it which tests run.
    pub impact: bool,
    /// The command that it was started for.
    pub command: Option<String>,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// `--forward` names nothing.
    #[error("--forward: {0}")]
    Forward(String),
    /// The system gives no random bytes.
    #[error("no random bytes for the token: {0}")]
    Random(getrandom::Error),
}

/// A running agent. Dropping it stops it.
#[derive(Debug)]
pub struct Agent {
    shared: Shared,
    addresses: Vec<SocketAddr>,
    socket: Option<PathBuf>,
    connections: Arc<Connections>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _folder: Option<listen::OwnFolder>,
}

impl Agent {
    /// Opens the sockets and starts to answer. Call it within a runtime.
    pub async fn start(options: Options) -> Result<Agent, StartError> {
        let Sockets { tcp, unix, folder } = listen::open(&options).await?;
        let addresses: Vec<SocketAddr> = tcp
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect();
        let port = addresses.first().map_or(0, SocketAddr::port);
        let socket = unix.as_ref().map(|(path, _)| path.clone());
        let viewer = if port == 0 {
            String::new()
        } else {
            format!("http://localhost:{port}/")
        };
        let settings = Settings {
            port,
            socket: socket
                .as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            advertise: options.advertise,
            hide: options.hide,
            keep_all: options.keep_all,
            viewer,
        };
        let llm = crate::llm::Llm::new(options.limits.llm(), options.data.as_deref());
        let data_streams = crate::streams::Streams::new(options.limits.streams());
        let store = Arc::new(Store::new(options.limits));
        let shared = Shared::new(Inner {
            store: store.clone(),
            token: token::new().map_err(StartError::Random)?,
            policy: options.policy,
            assets: options.assets,
            strict: options.strict,
            command: options.command,
            started: now(),
            begun: Instant::now(),
            info: Info::new(&settings),
            settings,
            addresses: addresses.iter().map(SocketAddr::to_string).collect(),
            faults: intake::faults::Faults::default(),
            rates: intake::rates::Rates::default(),
            remote_config: crate::rc::RemoteConfig::default(),
            telemetry: intake::telemetry::Sessions::default(),
            history: crate::history::History::open(options.data, options.impact),
            data_streams,
            llm,
            in_hand: intake::body::InHand::default(),
            streams: AtomicUsize::new(0),
            info_asked: AtomicU64::new(0),
            forward: OnceLock::new(),
        });
        if let Some(url) = &options.forward {
            let forward = Forward::start(url, store).map_err(StartError::Forward)?;
            let _ = shared.inner().forward.set(forward);
        }
        let router = router(&shared);
        let connections = Arc::new(Connections::default());
        let mut tasks = vec![tokio::spawn(judge(shared.clone()))];
        for socket in tcp {
            tasks.push(tokio::spawn(listen::serve_tcp(
                socket,
                router.clone(),
                connections.clone(),
            )));
        }
        if let Some((_, socket)) = unix {
            tasks.push(tokio::spawn(listen::serve_unix(
                socket,
                router,
                connections.clone(),
            )));
        }
        Ok(Agent {
            shared,
            addresses,
            socket,
            connections,
            tasks,
            _folder: folder,
        })
    }

    /// What the handlers share, the store among it.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The TCP port.
    pub fn port(&self) -> Option<u16> {
        self.addresses.first().map(SocketAddr::port)
    }

    /// The Unix socket.
    pub fn socket(&self) -> Option<&std::path::Path> {
        self.socket.as_deref()
    }

    /// The address of the page.
    pub fn viewer(&self) -> &str {
        &self.shared.inner().settings.viewer
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.open()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Some(path) = &self.socket {
            // Left behind it would only be in the way of the next start, which removes it, too.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn router(shared: &Shared) -> Router {
    let own = api::routes()
        .merge(viewer::routes())
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shared.clone(), guard_own));
    let intake = Router::new()
        .route("/info", get(intake::info).fallback(intake::handle))
        .fallback(fallback)
        .layer(from_fn_with_state(shared.clone(), guard_intake));
    own.merge(intake)
        .layer(axum::extract::DefaultBodyLimit::max(1 << 20))
        .with_state(shared.clone())
}

async fn fallback(
    state: axum::extract::State<Shared>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let path = request.uri().path();
    if path.starts_with("/api/") && !intake::is_intake_api(path) {
        return axum::response::IntoResponse::into_response(api::error::ApiError::not_found(
            "this route",
        ));
    }
    intake::handle(state, request).await
}

async fn wrong_method() -> axum::response::Response {
    axum::response::IntoResponse::into_response((
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        axum::Json(
            serde_json::json!({"error": "this route has no such method", "code": "bad_parameter"}),
        ),
    ))
}

/// Looks for what never came, about once a second.
async fn judge(shared: Shared) {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.judge(false);
    }
}
