//! Service names as numbers.
//!
//! An open span holds its service in 16 bits, inherited from its parent by a copy. Number 0 is the tracer's own service,
//! whatever that is called. Numbers are given for good and the table is bounded: a program that makes up service names
//! without end gets [`ServiceId::OVERFLOW`] for those beyond the bound, and the caller keeps such a name as a tag of
//! that one span.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// How many names a process may use before further ones are no longer inherited.
const LIMIT: usize = 4096;

/// A service's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServiceId(pub(crate) u16);

impl ServiceId {
    /// The service that the tracer was configured with.
    pub(crate) const GLOBAL: Self = Self(0);
    /// A name that the table had no room for.
    pub(crate) const OVERFLOW: Self = Self(u16::MAX);

    /// The number of a name.
    pub(crate) fn of(name: &str) -> Self {
        intern(name)
    }
}

/// All names so far. Replaced as a whole when one is added, which is rare: no look-up ever waits, not even in the child of a
/// fork that happened while a name was added.
#[derive(Clone, Default)]
struct Table {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, ServiceId>,
}

/// Not behind a lock that is initialised late: a fork in the middle of that would leave it locked in the child for good.
static TABLE: ArcSwapOption<Table> = ArcSwapOption::const_empty();

/// The number of a name, or [`ServiceId::OVERFLOW`]. A look-up; a copy of the table the first time.
pub(crate) fn intern(name: &str) -> ServiceId {
    if let Some(id) = TABLE.load().as_ref().and_then(|table| table.ids.get(name)) {
        return *id;
    }
    let mut given = ServiceId::OVERFLOW;
    TABLE.rcu(|table| {
        let before = table.as_ref();
        if let Some(id) = before.and_then(|table| table.ids.get(name)) {
            given = *id;
            return table.clone();
        }
        if before.is_some_and(|table| table.names.len() >= LIMIT) {
            given = ServiceId::OVERFLOW;
            return table.clone();
        }
        let mut table = before.map(|table| Table::clone(table)).unwrap_or_default();
        let shared: Arc<str> = name.into();
        table.names.push(Arc::clone(&shared));
        given = ServiceId(table.names.len() as u16);
        table.ids.insert(shared, given);
        Some(Arc::new(table))
    });
    given
}

/// The name of a number that [`intern`] gave; nothing for the global service.
pub(crate) fn name(id: ServiceId) -> Option<Arc<str>> {
    if id == ServiceId::GLOBAL {
        return None;
    }
    let table = TABLE.load();
    table.as_ref()?.names.get(usize::from(id.0) - 1).cloned()
}

/// All names that [`intern`] was given.
pub(crate) fn all() -> Vec<Arc<str>> {
    let table = TABLE.load();
    table
        .as_ref()
        .map(|table| table.names.clone())
        .unwrap_or_default()
}

/// A worker's copy of the table, so that resolving a span's service takes no lock.
#[derive(Debug, Default)]
pub(crate) struct ServiceNames {
    names: Vec<Arc<str>>,
}

impl ServiceNames {
    /// Takes over names that were added since.
    pub(crate) fn refresh(&mut self) {
        if let Some(table) = TABLE.load().as_ref() {
            self.names
                .extend(table.names.iter().skip(self.names.len()).cloned());
        }
    }

    /// The name of a number; nothing for the global service.
    pub(crate) fn get(&self, id: ServiceId) -> Option<&str> {
        usize::from(id.0)
            .checked_sub(1)
            .and_then(|index| self.names.get(index))
            .map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_and_numbers_have_names() {
        let first = intern("service-test-a");
        assert_eq!(first, intern("service-test-a"));
        assert_ne!(first, intern("service-test-b"));
        assert_eq!(name(first).as_deref(), Some("service-test-a"));
        assert_eq!(name(ServiceId::GLOBAL), None);
        let mut names = ServiceNames::default();
        names.refresh();
        assert_eq!(names.get(first), Some("service-test-a"));
    }
}
