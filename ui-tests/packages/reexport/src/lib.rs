//! A library that hands the attributes on.

#![deny(warnings)]

pub mod telemetry {
    //! What programs use.
    pub use ddtrace;
    pub use ddtrace::{span, trace};
}
