//! A set of lines, as the backend wants it: line *n* is bit `0x80 >> (n mod 8)` of byte *n* / 8.

use serde::{Deserialize, Serialize};

use ddtrace_core::base64;

/// The last line that a bitmap holds; later ones are left out.
pub(super) const MAX_LINE: u32 = 1 << 20;

/// A set of line numbers. Line 0 is not used, but lines are counted from it.
///
/// ```
/// use ddtrace_ci_visibility::coverage::Bitmap;
///
/// let lines: Bitmap = [1, 2, 3, 7].into_iter().collect();
/// assert_eq!(lines.as_bytes(), [0x71]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// No lines.
    pub fn new() -> Bitmap {
        Bitmap::default()
    }

    /// All lines from 1 up to this one.
    pub fn whole(last: u32) -> Bitmap {
        (1..=last.min(MAX_LINE)).collect()
    }

    /// What stands for a whole file where lines are not told apart.
    pub fn of_file() -> Bitmap {
        Bitmap(vec![0x80])
    }

    /// Reads the wire form; what is beyond line 1,048,576 is left out.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Bitmap {
        bytes.truncate(MAX_LINE as usize / 8 + 1);
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Bitmap(bytes)
    }

    /// The wire form, without zeros at its end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a line.
    pub fn insert(&mut self, line: u32) {
        if line > MAX_LINE {
            return;
        }
        let at = line as usize / 8;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 0x80 >> (line % 8);
    }

    /// Adds lines, both ends included.
    pub fn insert_range(&mut self, first: u32, last: u32) {
        for line in first..=last.min(MAX_LINE) {
            self.insert(line);
        }
    }

    /// Whether it has a line.
    pub fn contains(&self, line: u32) -> bool {
        let byte = self.0.get(line as usize / 8).copied().unwrap_or(0);
        byte & (0x80 >> (line % 8)) != 0
    }

    /// Adds all lines of another.
    pub fn merge(&mut self, other: &Bitmap) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// The lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = u32> + '_ {
        let last = self.0.len() as u32 * 8;
        (0..last).filter(|line| self.contains(*line))
    }

    /// How many lines it has.
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// How many lines both have.
    pub fn common(&self, other: &Bitmap) -> usize {
        let both = self.0.iter().zip(&other.0);
        both.map(|(a, b)| (a & b).count_ones() as usize).sum()
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(lines: I) -> Bitmap {
        let mut bitmap = Bitmap::new();
        for line in lines {
            bitmap.insert(line);
        }
        bitmap
    }
}

impl From<Bitmap> for String {
    fn from(bitmap: Bitmap) -> String {
        base64::encode(&bitmap.0)
    }
}

impl TryFrom<String> for Bitmap {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Bitmap, Self::Error> {
        let bytes = base64::decode(&text).ok_or("expected a bitmap in base64")?;
        Ok(Bitmap::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/ci-visibility.md` §15 B.
    #[test]
    fn bits_are_counted_from_the_left() {
        for (lines, bytes) in [
            (&[1, 2, 3, 7][..], &[0x71][..]),
            (&[8], &[0, 0x80]),
            (&[67, 68, 69], &[0, 0, 0, 0, 0, 0, 0, 0, 0x1c]),
            (&[15, 16], &[0, 1, 0x80]),
        ] {
            let bitmap: Bitmap = lines.iter().copied().collect();
            assert_eq!(bitmap.as_bytes(), bytes);
            assert_eq!(bitmap.lines().collect::<Vec<_>>(), lines);
            assert_eq!(bitmap.len(), lines.len());
        }
    }

    #[test]
    fn sets_are_joined_and_compared() {
        let mut some: Bitmap = [1, 9].into_iter().collect();
        let others: Bitmap = [9, 40].into_iter().collect();
        assert_eq!(some.common(&others), 1);
        some.merge(&others);
        assert_eq!(some.lines().collect::<Vec<_>>(), [1, 9, 40]);
        assert_eq!(Bitmap::from_bytes(vec![0x40, 0, 0]).as_bytes(), [0x40]);
    }

    #[test]
    fn a_line_far_away_takes_no_memory() {
        let mut bitmap = Bitmap::new();
        bitmap.insert(u32::MAX);
        bitmap.insert_range(MAX_LINE + 1, u32::MAX);
        assert!(bitmap.is_empty());
        bitmap.insert_range(MAX_LINE, u32::MAX);
        assert_eq!(bitmap.len(), 1);
    }
}
