//! Configuration: every setting declared once, every source in one order.
//!
//! ```text
//!   table      one row per setting: name, aliases, kind, default, readers, a sentence
//!     │
//!   sources    what each source says about each row ──> Resolved (all entries, lowest to highest)
//!     │          default < local file < OTEL_ env < DD_ env < fleet file < code < remote
//!   parse      text -> Value, by the row's kind; what is wrong becomes a Problem
//!     │
//!   effective  the typed, immutable Config that the rest of the crate reads
//! ```
//!
//! The order is measured, not the one that summaries give: the fleet's file beats the environment,
//! which beats the host's file (`spec/core.md` §1.1, vector D32).
//!
//! Three rules hold everywhere:
//!
//! * **Nothing fails.** A bad value is a [`Problem`]: one line with the variable, its value, what
//!   was expected and what is used instead. [`Config::problems`] holds them as data and
//!   [`Config::report_problems`] prints them; who starts a tracer calls that once.
//! * **Nothing reads the process but [`ProcessEnvironment`].** Tests pass a [`MapEnvironment`].
//! * **Secrets don't show.** Keys are [`Secret`]s, and user names and passwords are cut from URLs
//!   before anything is stored for reports.
//!
//! Remote configuration is a further source on top: [`Config::with_remote_settings`] makes a new `Config`
//! from an old one, to be swapped in whole. Readers hold an `Arc<Config>` and never see a mixture.

mod agent_url;
mod builder;
mod effective;
mod environment;
mod integration;
mod interpret;
mod markdown;
mod otel;
mod parse;
mod problem;
mod remote;
mod secret;
mod setting;
mod sources;
mod stable_file;
mod table;
mod value;
mod yaml;

pub use agent_url::{AgentUrl, DogstatsdAddress};
pub use builder::ConfigBuilder;
pub use effective::{
    ApiVersion, Config, DbmMode, ExtractBehavior, InstallSignature, QueryObfuscation, StatsLimits,
    TelemetrySettings, TraceExporter,
};
pub use environment::{Environment, MapEnvironment, ProcessEnvironment};
pub use integration::IntegrationSettings;
pub use markdown::markdown;
pub use otel::{OtelFinding, OtelFindingKind};
pub use problem::Problem;
pub use remote::RemoteSetting;
pub use secret::Secret;
pub use setting::{Beyond, Kind, Setting};
pub use sources::{Entry, Origin, Resolved};
pub use table::{Name, SETTINGS};
pub use value::Value;

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod vector_tests;
