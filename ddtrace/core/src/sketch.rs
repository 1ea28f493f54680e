//! DDSketch: values as counts in bins whose width grows with the value, so that any quantile is right to 0.8 %.
//!
//! The mapping is the one of Datadog's backend, which merges sketches bin by bin: γ = 1 + 1/64, offset 1338.5. Source:
//! sketches-go, `ddsketch/pb/ddsketch.proto`; libdatadog, `libdd-ddsketch`.

/// The ratio of a bin's upper bound to its lower one.
const GAMMA: f64 = 1.015_625;
/// What bin numbers are shifted by: the backend's smallest value, 1e-9, is in bin 1.
const INDEX_OFFSET: f64 = 1338.5;
/// The most bins; beyond it the lowest ones become one.
const MAX_BINS: usize = 2048;

/// Values of this and less count as nothing.
const SMALLEST: f64 = f64::MIN_POSITIVE * GAMMA;

/// Counts of values that are not negative: latencies, sizes. Grows up to 8 KiB.
///
/// ```
/// use ddtrace_core::sketch::Sketch;
///
/// let mut sketch = Sketch::default();
/// assert!(sketch.add(0.25));
/// assert!(!sketch.add(f64::NAN));
/// let mut bytes = Vec::new();
/// sketch.encode(&mut bytes);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// Counts of bins without a gap. 32 bits are enough for ten seconds.
    bins: Vec<u32>,
    /// The number of the first bin.
    first: i32,
    zeros: u32,
}

impl Sketch {
    /// Counts a value. False for what cannot be counted: negative, infinite, not a number.
    pub fn add(&mut self, value: f64) -> bool {
        if !(0.0..f64::INFINITY).contains(&value) {
            return false;
        }
        let count = if value < SMALLEST {
            &mut self.zeros
        } else {
            self.bin(index(value))
        };
        *count = count.saturating_add(1);
        true
    }

    fn bin(&mut self, index: i32) -> &mut u32 {
        if self.bins.is_empty() {
            self.first = index;
            self.bins.push(0);
        }
        if index < self.first {
            let missing = (self.first - index) as usize;
            let missing = missing.min(MAX_BINS - self.bins.len());
            self.bins.splice(0..0, std::iter::repeat_n(0, missing));
            self.first -= missing as i32;
        }
        let mut at = (index - self.first).max(0) as usize;
        if at >= MAX_BINS {
            let surplus = (at + 1 - MAX_BINS).min(at);
            let gone = surplus.min(self.bins.len());
            let collapsed = self.bins.drain(..gone).fold(0, u32::saturating_add);
            match self.bins.first_mut() {
                Some(lowest) => *lowest = lowest.saturating_add(collapsed),
                None => self.bins.push(collapsed),
            }
            self.first += surplus as i32;
            at -= surplus;
        }
        if at >= self.bins.len() {
            self.bins.resize(at + 1, 0);
        }
        &mut self.bins[at]
    }

    /// Appends the sketch as protobuf, the message `DDSketch`.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        const MAPPING: u8 = 1;
        const POSITIVE: u8 = 2;
        const NEGATIVE: u8 = 3;
        const ZERO_COUNT: u8 = 4;

        // Mapping: gamma and offset; its interpolation is 0, that is none, and so left out.
        bytes.extend([message(MAPPING), 18]);
        put_double(bytes, 1, GAMMA);
        put_double(bytes, 2, INDEX_OFFSET);
        let mut store = Vec::new();
        if !self.bins.is_empty() {
            store.push(message(2));
            put_varint(&mut store, self.bins.len() as u64 * 8);
            for count in &self.bins {
                store.extend(f64::from(*count).to_le_bytes());
            }
            if self.first != 0 {
                store.push(3 << 3);
                let zigzag = (self.first << 1) ^ (self.first >> 31);
                put_varint(&mut store, u64::from(zigzag as u32));
            }
        }
        bytes.push(message(POSITIVE));
        put_varint(bytes, store.len() as u64);
        bytes.extend(store);
        bytes.extend([message(NEGATIVE), 0]);
        if self.zeros != 0 {
            put_double(bytes, ZERO_COUNT, f64::from(self.zeros));
        }
    }
}

/// The bin of a value.
fn index(value: f64) -> i32 {
    (value.ln() * (1.0 / GAMMA.ln()) + INDEX_OFFSET).floor() as i32
}

/// The tag of a field that has a length.
const fn message(field: u8) -> u8 {
    field << 3 | 2
}

fn put_double(bytes: &mut Vec<u8>, field: u8, value: f64) {
    bytes.push(field << 3 | 1);
    bytes.extend(value.to_le_bytes());
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A decoded sketch: gamma, offset, first bin, counts, zeros. Written against the schema, not the encoder.
    #[derive(Debug, Default, PartialEq)]
    pub(crate) struct Decoded {
        pub(crate) gamma: f64,
        pub(crate) offset: f64,
        pub(crate) first: i64,
        pub(crate) counts: Vec<f64>,
        pub(crate) zeros: f64,
    }

    impl Decoded {
        /// How many values it holds.
        pub(crate) fn count(&self) -> f64 {
            self.zeros + self.counts.iter().sum::<f64>()
        }

        /// The value at a quantile, by the formula of the backend.
        fn quantile(&self, quantile: f64) -> f64 {
            let rank = quantile * (self.count() - 1.0);
            let mut seen = self.zeros;
            if seen > rank {
                return 0.0;
            }
            for (at, count) in self.counts.iter().enumerate() {
                seen += count;
                if seen > rank {
                    let lower =
                        ((self.first as f64 + at as f64 - self.offset) * self.gamma.ln()).exp();
                    return lower * 2.0 * self.gamma / (1.0 + self.gamma);
                }
            }
            f64::NAN
        }
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken
    }

    fn double(bytes: &[u8]) -> f64 {
        f64::from_le_bytes(bytes.try_into().unwrap())
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Decoded {
        let mut decoded = Decoded::default();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            match (tag >> 3, tag & 7) {
                (4, 1) => decoded.zeros = double(take(&mut bytes, 8)),
                (field, 2) => {
                    let length = varint(&mut bytes) as usize;
                    let mut inner = take(&mut bytes, length);
                    while !inner.is_empty() {
                        let tag = varint(&mut inner);
                        match (field, tag >> 3, tag & 7) {
                            (1, 1, 1) => decoded.gamma = double(take(&mut inner, 8)),
                            (1, 2, 1) => decoded.offset = double(take(&mut inner, 8)),
                            (2, 2, 2) => {
                                let length = varint(&mut inner) as usize;
                                let counts = take(&mut inner, length).chunks(8);
                                decoded.counts = counts.map(double).collect();
                            }
                            (2, 3, 0) => {
                                let zigzag = varint(&mut inner) as i64;
                                decoded.first = (zigzag >> 1) ^ -(zigzag & 1);
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        decoded
    }

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| assert!(sketch.add(value)));
        sketch
    }

    fn encoded(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.encode(&mut bytes);
        bytes
    }

    #[test]
    fn an_empty_sketch_is_its_mapping() {
        // From the schema by hand: 1 { 1: double, 2: double }, 2 {}, 3 {}.
        let expected = [
            &[0x0a, 18, 0x09][..],
            &1.015625f64.to_le_bytes(),
            &[0x11],
            &1338.5f64.to_le_bytes(),
            &[0x12, 0, 0x1a, 0],
        ]
        .concat();
        assert_eq!(encoded(&Sketch::default()), expected);
    }

    #[test]
    fn values_are_in_the_bins_of_the_backend() {
        // The value 1 is in the bin of the offset; γ above it comes the next.
        let decoded = decode(&encoded(&sketch(&[1.0, 1.0, 0.0])));
        assert_eq!(
            decoded,
            Decoded {
                gamma: 1.015625,
                offset: 1338.5,
                first: 1338,
                counts: vec![2.0],
                zeros: 1.0
            }
        );
        // ln(1e9) / ln(γ) + 1338.5 = 2675.09…
        assert_eq!(decode(&encoded(&sketch(&[1e9]))).first, 2675);
    }

    /// Vectors of `data-streams.md` §15.4, made by libdatadog. Long ones are given by length, beginning and end.
    #[test]
    fn bytes_are_those_of_the_reference() {
        const HEAD: &str = "0a1209000000000040f03f110000000000ea9440";
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        let cases: [(&[f64], usize, &str, &str); 10] = [
            (&[1.0], 37, "120d1208000000000000f03f18f4141a00", ""),
            (&[0.0], 33, "12001a0021000000000000f03f", ""),
            (
                &[0.5, 0.5, 0.0],
                46,
                "120d12080000000000000040189a141a0021000000000000f03f",
                "",
            ),
            (
                &[0.001, 0.001_000_1],
                37,
                "120d1208000000000000004018f80d1a00",
                "",
            ),
            (
                &[1.0, 1.015, 1.02],
                45,
                "12151210000000000000f03f000000000000004018f4141a00",
                "",
            ),
            (
                &[100.0, 128.0, 149.0],
                247,
                "12de0112d801000000000000f03f000000000000",
                "000000000000000000f03f18c6191a00",
            ),
            (
                &hundred,
                2415,
                "12d61212d012000000000000f03f000000000000",
                "000040000000000000f03f18f4141a00",
            ),
            (
                &[1e-8, 1e9],
                16417,
                "1287800112808001000000000000f03f00000000",
                "000000000000000000f03f18e8091a00",
            ),
            (
                &[1e9, 1e-8],
                16417,
                "1287800112808001000000000000f03f00000000",
                "000000000000000000f03f18e8091a00",
            ),
            (
                &[2048.0, 2049.0],
                37,
                "120d1208000000000000004018cc1c1a00",
                "",
            ),
        ];
        for (values, length, begin, end) in cases {
            let bytes = encoded(&sketch(values));
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(bytes.len(), length, "{values:?}");
            assert!(
                hex.starts_with(&format!("{HEAD}{begin}")),
                "{values:?}: {hex:.100}"
            );
            assert!(hex.ends_with(end), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_rejected() {
        let mut sketch = Sketch::default();
        for value in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!sketch.add(value), "{value}");
        }
        assert_eq!(sketch, Sketch::default());
        // A billionth has a bin of its own, and is not nothing.
        assert!(sketch.add(1e-9) && sketch.zeros == 0 && sketch.first == 1);
    }

    #[test]
    fn beyond_the_limit_the_lowest_bins_become_one() {
        let mut sketch = sketch(&[1.0, 2.0, 1e6]);
        let top = sketch.first + 5000;
        *sketch.bin(top) += 7;
        *sketch.bin(0) += 1;
        assert_eq!(sketch.bins.len(), MAX_BINS);
        assert_eq!(sketch.bins[0], 4);
        assert_eq!(sketch.bins[MAX_BINS - 1], 7);
        assert_eq!(sketch.first, top - MAX_BINS as i32 + 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_right_to_one_percent(mut values in proptest::collection::vec(0u64..10_000_000_000_000, 1..200)) {
            let floats: Vec<_> = values.iter().map(|&value| value as f64).collect();
            let decoded = decode(&encoded(&sketch(&floats)));
            values.sort_unstable();
            prop_assert_eq!(decoded.count(), values.len() as f64);
            for quantile in [0.0, 0.5, 0.75, 0.95, 1.0] {
                let exact = values[(quantile * (values.len() - 1) as f64) as usize] as f64;
                let estimate = decoded.quantile(quantile);
                prop_assert!((estimate - exact).abs() <= exact * 0.01, "{quantile}: {estimate} for {exact}");
            }
        }
    }
}
