//! A query as a tree.

/// A query as a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Matches everything.
    All,
    /// All of them.
    And(Vec<Node>),
    /// Any of them.
    Or(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// The trace's root satisfies root query number n.
    Root(usize),
    /// One condition.
    Term(Field, Test),
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the reserved names
pub enum Field {
    /// Service, name, resource and all tag values.
    Any,
    Service,
    Name,
    Resource,
    Type,
    Status,
    SpanId,
    TraceId,
    Duration,
    /// A tag, in meta or metrics.
    Tag(String),
}

/// What it must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Exactly this text.
    Exact(String),
    /// A text with `*` and `?`.
    Glob(Vec<Piece>),
    /// Any value at all.
    Exists,
    /// Contains this text, whatever its case.
    Contains(String),
    /// A number within bounds.
    Range(Bound, Bound),
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// `?`.
    One,
    /// `*`.
    Any,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// None.
    Open,
    /// This value and beyond.
    Including(f64),
    /// Beyond this value.
    Excluding(f64),
}

impl Test {
    /// Whether a number lies within a range.
    pub fn holds(low: Bound, high: Bound, n: f64) -> bool {
        let above = match low {
            Bound::Open => true,
            Bound::Including(low) => n >= low,
            Bound::Excluding(low) => n > low,
        };
        above
            && match high {
                Bound::Open => !n.is_nan(),
                Bound::Including(high) => n <= high,
                Bound::Excluding(high) => n < high,
            }
    }
}
