//! What the macros' expansions call, and the registry of what is linked into the program.

#[doc(hidden)]
pub mod capture;
mod http;
mod integration;
mod registry;
mod sites;

pub use http::{HttpRules, ServerRequest, set_resource_by_path};
pub use integration::{Enabled, Settings};
pub use inventory;
pub use linkme;
pub use registry::{Integration, Linked, Product, linked, start};
pub use sites::{DDTRACE_SITES, keep_site};
pub(crate) use sites::{switch_off, switch_on};
