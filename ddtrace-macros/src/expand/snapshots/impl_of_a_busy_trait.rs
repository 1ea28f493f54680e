#[trace(include(drop))]
impl Drop for Cart { fn drop(&mut self) { clean(); } }
