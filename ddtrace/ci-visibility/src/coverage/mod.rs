//! Which lines a test ran.

pub mod base64;
mod bitmap;

pub use bitmap::Bitmap;
