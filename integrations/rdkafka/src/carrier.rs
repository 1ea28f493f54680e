//! Headers of rdkafka that are in nobody's message yet, or not any more, as something to read context from and write it to by hand.

use ddtrace_core::propagation::{Carrier, CarrierMut};
use rdkafka::message::OwnedHeaders;

use crate::headers::{Incoming, Outgoing};
use crate::process::NativeHeaders;

/// Headers to read context from: `OwnedHeaders`, or the `BorrowedHeaders` of a message that has arrived.
///
/// ```
/// use ddtrace_core::propagation::Carrier as _;
/// use rdkafka::message::{Header, OwnedHeaders};
///
/// let headers = OwnedHeaders::new().insert(Header { key: "x-order-id", value: Some("7") });
/// assert_eq!(ddtrace_rdkafka::carrier_of(&headers).get("x-order-id"), Some(&b"7"[..]));
/// ```
pub fn carrier_of<H: NativeHeaders + ?Sized>(headers: &H) -> impl Carrier + '_ {
    Incoming::of(Some(headers.native()))
}

/// Headers of a message in the making, to write context to: `OwnedHeaders` are taken and given back by every call, this keeps
/// them in one place.
///
/// ```
/// use ddtrace_core::propagation::CarrierMut as _;
/// use ddtrace_rdkafka::HeadersInTheMaking;
/// use rdkafka::message::{Headers as _, OwnedHeaders};
///
/// let mut headers = HeadersInTheMaking::from(OwnedHeaders::new());
/// headers.set("x-order-id", b"7"); // or a checkpoint of data streams, `ddtrace::inject`
/// assert_eq!(headers.into_owned().count(), 1);
/// ```
pub struct HeadersInTheMaking(Outgoing);

impl HeadersInTheMaking {
    /// None yet.
    pub fn new() -> Self {
        Self(Outgoing::new(None))
    }

    /// The headers, for the message.
    pub fn into_owned(self) -> OwnedHeaders {
        self.0.into_parts().1.unwrap_or_default()
    }
}

impl Default for HeadersInTheMaking {
    fn default() -> Self {
        Self::new()
    }
}

impl From<OwnedHeaders> for HeadersInTheMaking {
    fn from(headers: OwnedHeaders) -> Self {
        Self(Outgoing::new(Some(headers)))
    }
}

impl std::fmt::Debug for HeadersInTheMaking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names = f.debug_list();
        self.0.keys(&mut |name| {
            names.entry(&name);
        });
        names.finish()
    }
}

impl Carrier for HeadersInTheMaking {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name)
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.keys(visit);
    }
}

impl CarrierMut for HeadersInTheMaking {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.set(name, value);
    }
}
