#[trace]
fn load(id: u64, key: String, mut rows: Vec<Row>) -> Result<Row, Error> { let row = fetch(id)?; rows.push(row); Ok(rows.remove(0)) }
