//! Messages between the shop's services.
//!
//! ```text
//!   storefront ──> orders ──> packing ──> parcels ──> storefront, which writes to the customer
//! ```
//!
//! With the feature `kafka` both are topics: of the brokers that `KAFKA_BROKERS` names, or of a cluster that librdkafka plays in the
//! customers' process (`kafka.rs`); packing is the warehouse's. Without it both are channels inside the storefront (`channel.rs`), and
//! packing asks the warehouse by HTTP. The checkpoints of data streams are the same.

use serde::{Deserialize, Serialize};

#[cfg(not(feature = "kafka"))]
pub(crate) use crate::channel::Receiver;
#[cfg(feature = "kafka")]
pub(crate) use crate::kafka::Receiver;
use crate::service::Error;

pub(crate) const ORDERS: &str = "orders";
pub(crate) const PARCELS: &str = "parcels";

/// An order that was placed and paid, or the parcel that came of it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Parcel {
    pub order_id: i64,
}

/// Works on every message that arrives, each in the span that it brings.
pub(crate) async fn work_off<F>(mut receiver: Receiver, work: impl Fn(Parcel) -> F)
where
    F: Future<Output = Result<(), Error>>,
{
    while let Some((parcel, span)) = receiver.next().await {
        let done = ddtrace::instrument(span, async {
            if let Err(error) = work(parcel).await {
                ddtrace::current_span().set_error_message("message", &error.to_string(), None);
            }
        });
        done.await;
    }
}
