//! Tables on standard output: a row per peer, a column per question.

/// A table that is filled cell by cell and printed once.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// An empty table with these columns after the one with the names.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Table {
        Table {
            title: title.into(),
            columns: columns.iter().map(|it| (*it).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, cells: Vec<String>) {
        self.rows.push((name.into(), cells));
    }

    /// Prints it, columns aligned.
    pub fn print(&self) {
        let mut widths = vec![
            self.rows
                .iter()
                .map(|(name, _)| name.chars().count())
                .max()
                .unwrap_or(0),
        ];
        for (i, column) in self.columns.iter().enumerate() {
            let cells = self
                .rows
                .iter()
                .filter_map(|(_, cells)| cells.get(i))
                .map(|cell| cell.chars().count());
            widths.push(cells.chain([column.chars().count()]).max().unwrap_or(0));
        }
        println!("\n{}", self.title);
        print!("{:1$}", "", widths[0]);
        for (column, width) in self.columns.iter().zip(&widths[1..]) {
            print!("  {column:>width$}");
        }
        println!();
        for (name, cells) in &self.rows {
            print!("{name:0$}", widths[0]);
            for (cell, width) in cells.iter().zip(&widths[1..]) {
                print!("  {cell:>width$}");
            }
            println!();
        }
    }
}

/// A number with as many digits as it deserves.
pub fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
