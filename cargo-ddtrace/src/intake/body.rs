//! Reading a body within limits, and decompressing it within others.

use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt as _;

/// The largest body that is read.
pub const LIMIT: usize = 50 << 20;
/// The largest body after decompression.
pub const INFLATED_LIMIT: usize = 200 << 20;
/// How many times larger decompression may make a body.
const RATIO: usize = 1000;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(30);
/// How many bytes of bodies may be in hand at once, over all connections.
pub const QUEUE: usize = 64 << 20;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Over a limit.
    TooLarge(String),
    /// Not in time.
    Slow,
    /// The connection broke.
    Broken,
    /// Too much is in hand already.
    Busy,
    /// Compressed in a way that is unknown or broken.
    Encoding(String),
}

/// Bytes of bodies that are in hand.
#[derive(Debug, Default)]
pub struct InHand(AtomicUsize);

/// A share of [`InHand`], given back on drop.
#[derive(Debug)]
pub struct Held<'h> {
    of: &'h InHand,
    bytes: usize,
}

impl InHand {
    /// Nothing yet.
    pub fn hold(&self) -> Held<'_> {
        Held { of: self, bytes: 0 }
    }
}

impl Held<'_> {
    fn more(&mut self, bytes: usize) -> Result<(), BodyError> {
        let before = self.of.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        // A single body may fill the queue alone; otherwise none of that size could ever come.
        if before + bytes > QUEUE && before + bytes != self.bytes {
            Err(BodyError::Busy)
        } else {
            Ok(())
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body. `announced` is its `Content-Length`.
pub async fn read(
    body: Body,
    announced: Option<u64>,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError> {
    if announced.is_some_and(|length| length > LIMIT as u64) {
        return Err(BodyError::TooLarge(format!("limit {LIMIT} bytes")));
    }
    tokio::time::timeout(TIME, read_frames(body, announced, held))
        .await
        .unwrap_or(Err(BodyError::Slow))
}

async fn read_frames(
    mut body: Body,
    announced: Option<u64>,
    held: &mut Held<'_>,
) -> Result<Bytes, BodyError> {
    /// An announced length is believed up to here; a body that is larger grows as it comes.
    const BELIEVED: u64 = 4 << 20;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(BELIEVED) as usize);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(BodyError::Broken);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        held.more(data.len())?;
        if bytes.len() + data.len() > LIMIT {
            return Err(BodyError::TooLarge(format!("limit {LIMIT} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// Decompresses a body by its `Content-Encoding`.
pub fn inflate(body: &Bytes, encoding: &str) -> Result<Bytes, BodyError> {
    if body.is_empty() {
        return Ok(body.clone());
    }
    match encoding {
        "" | "identity" => Ok(body.clone()),
        "gzip" | "x-gzip" => read_out(MultiGzDecoder::new(&body[..]), body.len()),
        "zstd" => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&body[..])
                .map_err(|error| BodyError::Encoding(format!("zstd: {error}")))?;
            read_out(decoder, body.len())
        }
        other => Err(BodyError::Encoding(format!("unknown encoding {other:?}"))),
    }
}

fn read_out(decoder: impl std::io::Read, compressed: usize) -> Result<Bytes, BodyError> {
    // Small bodies of one repeated byte go over the ratio in all honesty.
    let limit = INFLATED_LIMIT.min((compressed * RATIO).max(1 << 20));
    let mut bytes = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| BodyError::Encoding(error.to_string()))?;
    if bytes.len() > limit {
        return Err(BodyError::TooLarge(format!(
            "over {limit} bytes after decompression"
        )));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn gzip_is_inflated_within_its_limit() {
        assert_eq!(inflate(&gzip(b"abc"), "gzip").unwrap(), "abc");
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 5000);
        assert!(matches!(
            inflate(&bomb, "gzip"),
            Err(BodyError::TooLarge(_))
        ));
    }

    #[test]
    fn broken_compression_is_an_error() {
        for encoding in ["gzip", "zstd", "br"] {
            assert!(matches!(
                inflate(&Bytes::from_static(b"no such thing"), encoding),
                Err(BodyError::Encoding(_))
            ));
        }
    }

    #[test]
    fn one_body_may_fill_the_queue_and_two_may_not() {
        let hand = InHand::default();
        let mut first = hand.hold();
        assert_eq!(first.more(QUEUE + 1), Ok(()));
        assert_eq!(hand.hold().more(1), Err(BodyError::Busy));
        drop(first);
        assert_eq!(hand.hold().more(1), Ok(()));
    }
}
