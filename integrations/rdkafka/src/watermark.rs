//! Where a partition ends, as librdkafka knows from the last answer that brought messages. Nobody is asked.
//!
//! `unsafe` here: one call of librdkafka that rdkafka has no function for.
#![allow(unsafe_code)]

use std::ffi::CString;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};

/// The offset that the next message of a partition will have, if it is known.
pub(crate) fn high<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives as long as the borrow, the name ends with a zero, and both numbers are ours. The call takes
    // a lock of librdkafka's and reads two numbers.
    let error = unsafe {
        bindings::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    let is_known = error == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    is_known.then_some(high)
}
