//! A query under another text than the program's.

use sqlx_core::database::Database;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::Execute;

/// The user's query under a text with a comment in front of it.
pub(crate) struct Commented<'t, DB: Database> {
    pub(crate) text: &'t str,
    pub(crate) arguments: Result<Option<DB::Arguments<'t>>, BoxDynError>,
    pub(crate) persistent: bool,
}

impl<'t, DB: Database> Execute<'t, DB> for Commented<'t, DB> {
    fn sql(&self) -> &'t str {
        self.text
    }

    fn statement(&self) -> Option<&DB::Statement<'t>> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments<'t>>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
