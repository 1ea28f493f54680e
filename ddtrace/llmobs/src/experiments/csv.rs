//! Tables of comma-separated values (RFC 4180), as datasets are uploaded and read.

/// The most of a cell.
const CELL_LIMIT: usize = 10 << 20;

/// One line.
pub(super) fn line(cells: &[String]) -> String {
    let mut line = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line + "\r\n"
}

/// All lines, each with as many cells as the first.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut is_quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(char) = chars.next() {
        if cell.len() > CELL_LIMIT {
            return Err(format!(
                "line {}: a cell is longer than {CELL_LIMIT} bytes",
                rows.len() + 1
            ));
        }
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if cell.is_empty() => is_quoted = true,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                end(&mut rows, std::mem::take(&mut row))?;
            }
            other => cell.push(other),
        }
    }
    if is_quoted {
        return Err("a quotation mark is not closed".into());
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        end(&mut rows, row)?;
    }
    Ok(rows)
}

fn end(rows: &mut Vec<Vec<String>>, row: Vec<String>) -> Result<(), String> {
    if row.len() == 1 && row[0].is_empty() {
        // An empty line.
        return Ok(());
    }
    let expected = rows.first().map_or(row.len(), Vec::len);
    if row.len() != expected {
        let (number, found) = (rows.len() + 1, row.len());
        return Err(format!(
            "line {number}: expected {expected} cells, found {found}"
        ));
    }
    rows.push(row);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_table_is_named() {
        assert!(
            read("a,b\n1\n")
                .unwrap_err()
                .contains("line 2: expected 2 cells, found 1")
        );
        assert!(read("a\n\"open").is_err());
        assert_eq!(
            read("\u{feff}a,b\n\n1,\"2\n3\"").unwrap(),
            [vec!["a", "b"], vec!["1", "2\n3"]]
        );
        assert_eq!(read("").unwrap(), Vec::<Vec<String>>::new());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cells in proptest::collection::vec("[ -~\r\n\u{e9}]{1,9}", 2..5)) {
            prop_assert_eq!(read(&line(&cells)).unwrap(), vec![cells]);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = read(&text);
        }
    }
}
