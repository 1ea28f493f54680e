#[trace]
fn load(id: u64) -> Result<Row, Error> { fetch(id) }
