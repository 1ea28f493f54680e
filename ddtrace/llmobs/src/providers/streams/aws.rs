//! Frames of the media type `application/vnd.amazon.eventstream`.
//!
//! Two lengths of four bytes (the whole frame, its headers), a checksum of those, the headers, the payload, a checksum of
//! everything. The checksums are not verified: whoever receives the response does that, and a wrong one costs us a frame.

/// One frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AwsFrame<'a> {
    /// The header `:event-type`, or else `:exception-type`.
    pub(crate) kind: &'a str,
    /// Whether it is an exception or an error instead of an event.
    pub(crate) is_exception: bool,
    /// The payload: JSON.
    pub(crate) payload: &'a [u8],
    /// Where in the body the frame ended.
    pub(crate) end: usize,
}

/// The frames of a body, up to the first that is broken or not whole.
pub(crate) fn aws_frames(body: &[u8]) -> impl Iterator<Item = AwsFrame<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut frame = read(&body[at..])?;
        at += frame.end;
        frame.end = at;
        Some(frame)
    })
}

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;
/// The kind of header values that are text.
const TEXT: u8 = 7;

fn read(rest: &[u8]) -> Option<AwsFrame<'_>> {
    let length = length_at(rest, 0)?;
    let headers = length_at(rest, 4)?;
    let frame = rest.get(..length)?;
    let payload_from = PRELUDE.checked_add(headers)?;
    let payload_to = length.checked_sub(CHECKSUM)?;
    let payload = frame.get(payload_from..payload_to)?;
    let mut found = AwsFrame {
        payload,
        end: length,
        ..AwsFrame::default()
    };
    let mut headers = &frame[PRELUDE..payload_from];
    while let Some((name, value, rest)) = header(headers) {
        match name {
            b":event-type" => found.kind = value,
            b":exception-type" | b":error-code" => {
                found.kind = value;
                found.is_exception = true;
            }
            _ => {}
        }
        headers = rest;
    }
    Some(found)
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

/// A header's name, its value if that is text, and what comes after it.
fn header(bytes: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (&kind, rest) = rest.split_first()?;
    // Two kinds of booleans, integers of 1 to 8 bytes, bytes and text with their length before them, a time, a UUID.
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | TEXT => {
            let (length, rest) = rest.split_at_checked(2)?;
            let length = u16::from_be_bytes([length[0], length[1]]);
            let (value, rest) = rest.split_at_checked(usize::from(length))?;
            let value = std::str::from_utf8(value).unwrap_or_default();
            return Some((name, value, rest));
        }
        9 => 16,
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(fixed)?;
    Some((name, "", rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as Amazon's documentation of the encoding describes it, with checksums left empty.
    pub(crate) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            encoded.push(u8::try_from(name.len()).unwrap());
            encoded.extend(name.as_bytes());
            encoded.push(TEXT);
            encoded.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            encoded.extend(value.as_bytes());
        }
        let length = PRELUDE + encoded.len() + payload.len() + CHECKSUM;
        let mut frame = Vec::new();
        frame.extend(u32::try_from(length).unwrap().to_be_bytes());
        frame.extend(u32::try_from(encoded.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(encoded);
        frame.extend(payload);
        frame.extend([0; 4]);
        frame
    }

    #[test]
    fn events_and_exceptions_are_told_apart() {
        let mut body = frame(
            &[
                (":message-type", "event"),
                (":event-type", "contentBlockDelta"),
            ],
            b"{}",
        );
        let first = body.len();
        body.extend(frame(
            &[(":exception-type", "throttlingException")],
            b"{\"message\":\"slow\"}",
        ));
        let whole = body.len();
        body.extend(&frame(&[(":event-type", "cut")], b"{}")[..20]);
        let frames: Vec<_> = aws_frames(&body).collect();
        assert_eq!(
            frames,
            [
                AwsFrame {
                    kind: "contentBlockDelta",
                    is_exception: false,
                    payload: b"{}",
                    end: first
                },
                AwsFrame {
                    kind: "throttlingException",
                    is_exception: true,
                    payload: b"{\"message\":\"slow\"}",
                    end: whole
                },
            ]
        );
    }

    #[test]
    fn the_documented_frame_is_read() {
        // The second test vector of the encoding's documentation: one header, `{'foo':'bar'}`, real checksums.
        let body = b"\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
        let frames: Vec<_> = aws_frames(body).collect();
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].payload, b"{'foo':'bar'}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(mut body in proptest::collection::vec(any::<u8>(), 0..64)) {
            // Lengths that are not absurd get further.
            for at in [0, 1, 2, 4, 5, 6] {
                if let Some(byte) = body.get_mut(at) {
                    *byte = 0;
                }
            }
            let mut last = 0;
            for frame in aws_frames(&body) {
                prop_assert!(frame.end > last && frame.end <= body.len());
                last = frame.end;
            }
        }
    }
}
