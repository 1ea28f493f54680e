#[trace]
fn rows(&self) -> impl Stream<Item = Row> + '_ { self.rows.iter() }
