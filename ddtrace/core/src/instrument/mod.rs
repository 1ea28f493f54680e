//! What the macros' expansions call, and the registry of what is linked into the program.

mod registry;

pub use inventory;
pub use registry::{Integration, Linked, Product, linked, start};
