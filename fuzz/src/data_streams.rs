//! Data streams: the pathway in the headers of a message.

use std::collections::HashMap;

use ddtrace_data_streams::Pathway;

/// The value of the header: what was read is passed on as it was, and what was not begins anew.
pub fn pathway_header(data: &[u8]) {
    let value = String::from_utf8_lossy(data).into_owned();
    let headers = HashMap::from([("dd-pathway-ctx-base64".to_owned(), value)]);
    let pathway = Pathway::extract(&headers);
    let mut outbound = HashMap::new();
    pathway.inject(&mut outbound);
    let again = Pathway::extract(&outbound);
    if pathway.to_header().is_some() {
        assert_eq!(again.hash(), pathway.hash());
        assert_eq!(again.to_header(), pathway.to_header());
    }
}
