//! What ours is meant to reach, and whether it did in this run.

use ddtrace_peers::table::{Table, number};
use std::cell::RefCell;

/// The name that ours has among the peers.
pub(crate) const OURS: &str = "ddtrace";

/// Figures that have a target, as they come in.
#[derive(Default)]
pub(crate) struct Targets(RefCell<Vec<Figure>>);

struct Figure {
    name: String,
    limit: f64,
    at_least: bool,
    value: f64,
}

impl Targets {
    /// A figure that should be no larger than `limit`.
    pub(crate) fn at_most(&self, name: impl Into<String>, limit: f64, value: f64) {
        self.0.borrow_mut().push(Figure {
            name: name.into(),
            limit,
            at_least: false,
            value,
        });
    }

    /// A figure that should be no smaller than `limit`.
    pub(crate) fn at_least(&self, name: impl Into<String>, limit: f64, value: f64) {
        self.0.borrow_mut().push(Figure {
            name: name.into(),
            limit,
            at_least: true,
            value,
        });
    }

    /// Prints them all.
    pub(crate) fn print(&self) {
        let figures = self.0.borrow();
        if figures.is_empty() {
            return;
        }
        let mut table = Table::new("targets", &["target", "this run", ""]);
        for Figure {
            name,
            limit,
            at_least,
            value,
        } in figures.iter()
        {
            let (sign, reached) = if *at_least {
                ('≥', value >= limit)
            } else {
                ('≤', value <= limit)
            };
            let verdict = if reached { "reached" } else { "missed" };
            table.row(
                name,
                vec![
                    format!("{sign} {limit}"),
                    number(*value),
                    verdict.to_owned(),
                ],
            );
        }
        table.print();
    }
}
