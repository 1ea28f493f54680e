//! What an outgoing span called, as its tags name it.

use crate::store::segment::{Row, Segment, flag};

/// The first of these that is there names the peer best.
const KEYS: [&str; 15] = [
    "peer.service",
    "messaging.destination.name",
    "messaging.destination",
    "db.name",
    "db.instance",
    "db.namespace",
    "db.system",
    "out.host",
    "server.address",
    "network.destination.name",
    "net.peer.name",
    "peer.hostname",
    "http.host",
    "messaging.system",
    "rpc.service",
];

/// The ranks of a segment's texts as keys that name a peer.
#[derive(Debug)]
pub(super) struct Peers(Vec<u8>);

impl Peers {
    /// Looks at every text of a segment once.
    pub(super) fn of(segment: &Segment) -> Peers {
        let rank = |text: &str| {
            KEYS.iter()
                .position(|key| *key == text)
                .map_or(u8::MAX, |rank| rank as u8)
        };
        Peers(segment.strings.iter().map(rank).collect())
    }

    /// The number of the text that names what a span called.
    pub(super) fn name(&self, segment: &Segment, row: &Row) -> Option<u32> {
        let named = segment.meta(row).iter().filter(|(_, value)| *value != 0);
        let best = named.min_by_key(|(key, _)| self.0[*key as usize])?;
        (self.0[best.0 as usize] != u8::MAX).then_some(best.1)
    }
}

/// Whose calls outgoing spans are. Those of an integration may carry its name as their service (`sqlite`, `reqwest`);
/// then `_dd.base_service` says which service called.
#[derive(Debug)]
pub(super) struct Callers(Option<u32>);

impl Callers {
    /// Looks for the key among the texts of a segment.
    pub(super) fn of(segment: &Segment) -> Callers {
        let key = segment
            .strings
            .iter()
            .position(|text| text == "_dd.base_service");
        Callers(key.map(|number| number as u32))
    }

    /// The number of the text that names the service that a span belongs to.
    pub(super) fn service(&self, segment: &Segment, row: &Row) -> u32 {
        let Some(base) = self.0.filter(|_| row.is(flag::OUTGOING)) else {
            return row.service;
        };
        let mut tags = segment.meta(row).iter();
        tags.find(|(key, value)| *key == base && *value != 0)
            .map_or(row.service, |(_, value)| *value)
    }
}

/// What a single span called, without looking at the other texts.
pub(super) fn name<'s>(segment: &'s Segment, row: &Row) -> Option<&'s str> {
    let text = |number| segment.strings.get(number);
    let rank = |key: u32| KEYS.iter().position(|known| *known == text(key));
    let ranked = segment.meta(row).iter().filter(|(_, value)| *value != 0);
    let best = ranked
        .filter_map(|(key, value)| Some((rank(*key)?, *value)))
        .min_by_key(|(rank, _)| *rank);
    best.map(|(_, value)| text(value))
}
