#[trace]
fn load(id: u64) -> Fallible<impl Iterator<Item = u8>> { fetch(id)?; Ok(list()) }
