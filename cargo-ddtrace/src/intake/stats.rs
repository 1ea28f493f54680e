//! `PUT /v0.6/stats`, `application/msgpack`: statistics that the library made before sampling.
//!
//! Read as far as the store needs it, which also says whether it can be read; the page of a request shows all of it.

use super::msgpack::{Read, Reader};
use crate::store::counts::Client;

/// What a payload of statistics says.
#[derive(Debug, Default)]
pub struct Stats {
    /// Who sent it.
    pub client: Client,
    /// Sum of hits.
    pub hits: u64,
    /// Sum of errors.
    pub errors: u64,
}

/// Reads a payload.
pub fn read(body: &[u8]) -> Read<Stats> {
    let mut reader = Reader::new(body);
    let mut stats = Stats::default();
    let mut broken = false;
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"Env" => stats.client.env = reader.text(&mut broken)?.into_owned(),
            b"Version" => stats.client.app_version = reader.text(&mut broken)?.into_owned(),
            b"Lang" => stats.client.language = reader.text(&mut broken)?.into_owned(),
            b"TracerVersion" => {
                stats.client.tracer_version = reader.text(&mut broken)?.into_owned()
            }
            b"RuntimeID" => stats.client.runtime_id = reader.text(&mut broken)?.into_owned(),
            b"Service" => stats.client.service = reader.text(&mut broken)?.into_owned(),
            b"Stats" if reader.nil() => {}
            b"Stats" => {
                for _ in 0..reader.array()? {
                    read_bucket(&mut reader, &mut stats)?;
                }
            }
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    Ok(stats)
}

fn read_bucket(reader: &mut Reader<'_>, stats: &mut Stats) -> Read<()> {
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"Stats" if reader.nil() => {}
            b"Stats" => {
                for _ in 0..reader.array()? {
                    for _ in 0..reader.map()? {
                        match reader.key()? {
                            b"Hits" => stats.hits = stats.hits.saturating_add(reader.id()?),
                            b"Errors" => stats.errors = stats.errors.saturating_add(reader.id()?),
                            _ => reader.skip()?,
                        }
                    }
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hits_are_added_up() {
        let mut body = Vec::new();
        let text = |body: &mut Vec<u8>, s: &str| rmp::encode::write_str(body, s).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        text(&mut body, "Service");
        text(&mut body, "shop");
        text(&mut body, "Stats");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        text(&mut body, "Stats");
        rmp::encode::write_array_len(&mut body, 2).unwrap();
        for hits in [3, 4] {
            rmp::encode::write_map_len(&mut body, 1).unwrap();
            text(&mut body, "Hits");
            rmp::encode::write_uint(&mut body, hits).unwrap();
        }
        let stats = read(&body).unwrap();
        assert_eq!((stats.hits, stats.client.service.as_str()), (7, "shop"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }
    }
}
