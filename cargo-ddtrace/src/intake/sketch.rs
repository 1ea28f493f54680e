//! DDSketch as protobuf: counts of values in bins, of which any quantile is right to 0.8 %.
//!
//! Only the mapping that Datadog's backend merges is taken: γ = 1 + 1/64, offset 1338.5, no interpolation. A sketch of
//! another one could be read, but not be added to its neighbours. Source: sketches-go, `ddsketch/pb/ddsketch.proto`.
//!
//! The bytes are hostile: the number of bins ends at `MAX_BINS`, and every length is held against what is left.

use std::fmt;

/// The ratio of a bin's upper bound to its lower one.
const GAMMA: f64 = 1.015_625;
/// What bin numbers are shifted by.
const OFFSET: f64 = 1338.5;
/// Relative accuracy: the middle of a bin is that much above its lower bound.
const ACCURACY: f64 = (GAMMA - 1.0) / (GAMMA + 1.0);
/// The most bins of a sketch; senders collapse the lowest ones beyond it.
const MAX_BINS: usize = 2048;

/// Counts by bin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch {
    /// Number of a bin and its count, which is not 0; ascending.
    bins: Vec<(i32, f64)>,
    zeros: f64,
}

/// Why bytes are no sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SketchError {
    /// They end early, or are no protobuf.
    Broken,
    /// A field has a wire type that it cannot have.
    Type(u64),
    /// Values are mapped to bins in another way.
    Mapping(String),
    /// A count is negative, infinite or no number.
    Count,
    /// There are values below 0, which neither a latency nor a size has.
    Negative,
    /// More bins than senders may have.
    Bins(usize),
}

impl fmt::Display for SketchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SketchError::Broken => f.write_str("it is no protobuf"),
            SketchError::Type(field) => write!(f, "field {field} has another type"),
            SketchError::Mapping(found) => write!(
                f,
                "expected a mapping of gamma {GAMMA} and offset {OFFSET} without interpolation, found {found}"
            ),
            SketchError::Count => f.write_str("a count is negative or no number"),
            SketchError::Negative => f.write_str("it counts values below 0"),
            SketchError::Bins(bins) => write!(f, "{bins} bins, at most {MAX_BINS}"),
        }
    }
}

impl Sketch {
    /// Reads a message `DDSketch`.
    pub fn decode(bytes: &[u8]) -> Result<Sketch, SketchError> {
        let mut sketch = Sketch::default();
        let mut mapping = None;
        for field in fields(bytes) {
            match field? {
                (1, Wire::Bytes(bytes)) => mapping = Some(read_mapping(bytes)?),
                (2, Wire::Bytes(bytes)) => sketch.bins = read_store(bytes)?,
                (3, Wire::Bytes(bytes)) if read_store(bytes)?.is_empty() => {}
                (3, Wire::Bytes(_)) => return Err(SketchError::Negative),
                (4, Wire::Eight(bits)) => sketch.zeros = count(f64::from_bits(bits))?,
                (field @ 1..=4, _) => return Err(SketchError::Type(field)),
                _ => {}
            }
        }
        match mapping {
            Some((gamma, offset, 0)) if gamma == GAMMA && offset == OFFSET => Ok(sketch),
            Some((gamma, offset, interpolation)) => Err(SketchError::Mapping(format!(
                "{gamma}, {offset}, {interpolation}"
            ))),
            None => Err(SketchError::Mapping("none".to_owned())),
        }
    }

    /// How many values it counts.
    pub fn count(&self) -> f64 {
        self.bins.iter().map(|(_, count)| count).sum::<f64>() + self.zeros
    }

    /// About what its values come to together.
    pub fn sum(&self) -> f64 {
        self.bins
            .iter()
            .map(|(bin, count)| count * value(*bin))
            .sum()
    }

    /// The value that a share of the others is below, 0 ≤ `share` ≤ 1; `None` if there is none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        if total <= 0.0 {
            return None;
        }
        let rank = share * (total - 1.0).max(0.0);
        let mut below = self.zeros;
        if below > rank {
            return Some(0.0);
        }
        for (bin, count) in &self.bins {
            below += count;
            if below > rank {
                return Some(value(*bin));
            }
        }
        self.bins.last().map(|(bin, _)| value(*bin)).or(Some(0.0))
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Sketch) {
        self.zeros += other.zeros;
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        for (bin, count) in &other.bins {
            match self.bins.binary_search_by_key(bin, |(own, _)| *own) {
                Ok(at) => self.bins[at].1 += count,
                Err(at) => self.bins.insert(at, (*bin, *count)),
            }
        }
    }

    /// Counts of values up to each bound, and of those above the last.
    pub fn histogram(&self, bounds: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; bounds.len() + 1];
        counts[0] = self.zeros;
        for (bin, count) in &self.bins {
            let value = value(*bin);
            counts[bounds.partition_point(|bound| *bound < value)] += count;
        }
        counts
    }

    /// Bytes of memory beside the struct itself.
    pub fn memory(&self) -> usize {
        self.bins.capacity() * size_of::<(i32, f64)>()
    }
}

/// What a bin stands for.
fn value(bin: i32) -> f64 {
    ((f64::from(bin) - OFFSET) * GAMMA.ln()).exp() * (1.0 + ACCURACY)
}

fn count(count: f64) -> Result<f64, SketchError> {
    // 2^53: beyond it counts no longer add up.
    if (0.0..=9_007_199_254_740_992.0).contains(&count) {
        Ok(count)
    } else {
        Err(SketchError::Count)
    }
}

fn read_mapping(bytes: &[u8]) -> Result<(f64, f64, u64), SketchError> {
    let (mut gamma, mut offset, mut interpolation) = (0.0, 0.0, 0);
    for field in fields(bytes) {
        match field? {
            (1, Wire::Eight(bits)) => gamma = f64::from_bits(bits),
            (2, Wire::Eight(bits)) => offset = f64::from_bits(bits),
            (3, Wire::Varint(number)) => interpolation = number,
            (field @ 1..=3, _) => return Err(SketchError::Type(field)),
            _ => {}
        }
    }
    Ok((gamma, offset, interpolation))
}

/// A store: bins one behind the other from an offset on, or each with its number.
fn read_store(bytes: &[u8]) -> Result<Vec<(i32, f64)>, SketchError> {
    let mut bins: Vec<(i32, f64)> = Vec::new();
    let (mut dense, mut first) = (Vec::new(), 0);
    for field in fields(bytes) {
        match field? {
            (1, Wire::Bytes(entry)) => {
                let (mut bin, mut number) = (0, 0.0);
                for field in fields(entry) {
                    match field? {
                        (1, Wire::Varint(varint)) => bin = signed(varint)?,
                        (2, Wire::Eight(bits)) => number = count(f64::from_bits(bits))?,
                        (field, _) => return Err(SketchError::Type(field)),
                    }
                }
                bins.push((bin, number));
            }
            (2, Wire::Bytes(packed)) if packed.len() % 8 == 0 => {
                for eight in packed.chunks_exact(8) {
                    let mut bits = [0; 8];
                    bits.copy_from_slice(eight);
                    dense.push(count(f64::from_le_bytes(bits))?);
                }
            }
            (2, Wire::Eight(bits)) => dense.push(count(f64::from_bits(bits))?),
            (3, Wire::Varint(varint)) => first = signed(varint)?,
            (field @ 1..=3, _) => return Err(SketchError::Type(field)),
            _ => {}
        }
        if bins.len().max(dense.len()) > MAX_BINS {
            return Err(SketchError::Bins(bins.len().max(dense.len())));
        }
    }
    for (at, number) in (0_i32..).zip(dense) {
        bins.push((first.checked_add(at).ok_or(SketchError::Broken)?, number));
    }
    bins.retain(|(_, number)| *number > 0.0);
    bins.sort_by_key(|(bin, _)| *bin);
    bins.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
    Ok(bins)
}

/// A number in zigzag of 32 bits.
fn signed(varint: u64) -> Result<i32, SketchError> {
    let number = u32::try_from(varint).map_err(|_| SketchError::Broken)?;
    Ok((number >> 1) as i32 ^ -((number & 1) as i32))
}

/// The content of a field.
enum Wire<'b> {
    Varint(u64),
    Eight(u64),
    Bytes(&'b [u8]),
    Four,
}

/// The fields of a message.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), SketchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = read_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or(SketchError::Broken))
    })
}

fn read_field<'b>(rest: &mut &'b [u8]) -> Option<(u64, Wire<'b>)> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Varint(varint(rest)?),
        1 => Wire::Eight(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            Wire::Four
        }
        _ => return None,
    };
    Some((tag >> 3, wire))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut own = ddtrace_core::sketch::Sketch::default();
        for value in values {
            assert!(own.add(*value));
        }
        let mut bytes = Vec::new();
        own.encode(&mut bytes);
        Sketch::decode(&bytes).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_sketches_of_the_dossier_are_read() {
        // spec/data-streams.md §10 and §15.5: an empty one, and those of half a second and of 99 bytes.
        let empty = hex("0a1209000000000040f03f110000000000ea944012001a00");
        assert_eq!(Sketch::decode(&empty), Ok(Sketch::default()));
        for (bytes, bin, about) in [
            (
                "0a1209000000000040f03f110000000000ea9440120d1208000000000000f03f189a141a00",
                1293,
                0.5,
            ),
            (
                "0a1209000000000040f03f110000000000ea9440120d1208000000000000f03f18c4191a00",
                1634,
                99.0,
            ),
        ] {
            let sketch = Sketch::decode(&hex(bytes)).unwrap();
            assert_eq!(sketch.bins, [(bin, 1.0)]);
            let value = sketch.quantile(0.5).unwrap();
            assert!((value / about - 1.0).abs() <= 1.0 / 129.0, "{value}");
        }
        let zero = hex("0a1209000000000040f03f110000000000ea944012001a0021000000000000f03f");
        assert_eq!(Sketch::decode(&zero).unwrap().quantile(0.99), Some(0.0));
    }

    #[test]
    fn what_the_backend_could_not_merge_is_an_error() {
        let gamma = hex("0a1209000000000000f03f110000000000ea944012001a00");
        assert!(matches!(
            Sketch::decode(&gamma),
            Err(SketchError::Mapping(_))
        ));
        assert!(matches!(Sketch::decode(b""), Err(SketchError::Mapping(_))));
        let good = "0a1209000000000040f03f110000000000ea9440";
        for (rest, error) in [
            ("12", SketchError::Broken),
            ("1001", SketchError::Type(2)),
            ("120a1208000000000000f0bf", SketchError::Count),
            ("1a0a1208000000000000f03f", SketchError::Negative),
        ] {
            let bytes = hex(&format!("{good}{rest}"));
            assert_eq!(Sketch::decode(&bytes), Err(error), "{rest}");
        }
        let mut many = hex(good);
        let store = 2049 * 8;
        many.extend([0x12, 0x8b, 0x80, 0x01, 0x12]);
        let length = [
            (store & 0x7f) as u8 | 0x80,
            (store >> 7 & 0x7f) as u8 | 0x80,
            (store >> 14) as u8,
        ];
        many.extend(length);
        many[21..24].copy_from_slice(&[
            ((store + 4) & 0x7f) as u8 | 0x80,
            ((store + 4) >> 7 & 0x7f) as u8 | 0x80,
            ((store + 4) >> 14) as u8,
        ]);
        many.extend(std::iter::repeat_n(0, store));
        assert_eq!(Sketch::decode(&many), Err(SketchError::Bins(2049)));
    }

    #[test]
    fn bins_with_numbers_count_like_those_without() {
        // binCounts {1293: 2, 1634: 1} as a map.
        let bytes = hex(concat!(
            "0a1209000000000040f03f110000000000ea9440121c",
            "0a0c089a14110000000000000040",
            "0a0c08c41911000000000000f03f"
        ));
        let sketch = Sketch::decode(&bytes).unwrap();
        assert_eq!(sketch.bins, [(1293, 2.0), (1634, 1.0)]);
    }

    proptest! {
        #[test]
        fn quantiles_are_right_to_the_promised_accuracy(
            mut values in prop::collection::vec(1e-6..1e6, 1..200),
            share in 0.0..=1.0,
        ) {
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            let expected = values[(share * (values.len() - 1) as f64) as usize];
            let found = sketch.quantile(share).unwrap();
            prop_assert!((found / expected - 1.0).abs() <= ACCURACY * 1.001, "{found} {expected}");
            prop_assert_eq!(sketch.count(), values.len() as f64);
        }

        #[test]
        fn merged_sketches_count_like_one_of_all(
            a in prop::collection::vec(0.0..1e3, 0..50),
            b in prop::collection::vec(0.0..1e3, 0..50),
        ) {
            let mut merged = sketch(&a);
            merged.merge(&sketch(&b));
            prop_assert_eq!(merged, sketch(&[a, b].concat()));
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sketch::decode(&tail);
            let mut bytes = hex("0a1209000000000040f03f110000000000ea9440");
            bytes.extend(&tail);
            if let Ok(sketch) = Sketch::decode(&bytes) {
                prop_assert!(sketch.bins.len() <= bytes.len());
                let _ = (sketch.quantile(0.5), sketch.sum(), sketch.histogram(&[1.0]));
            }
        }
    }
}
