#[trace(iter)]
fn rows(&self) -> Box<dyn Iterator<Item = Row> + '_> { Box::new(self.rows.iter()) }
