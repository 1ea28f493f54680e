//! Service names as numbers.
//!
//! An open span holds its service in 16 bits, inherited from its parent by a copy. Number 0 is the tracer's own service,
//! whatever that is called. Numbers are given for good and the table is bounded: a program that makes up service names
//! without end gets [`ServiceId::OVERFLOW`] for those beyond the bound, and the caller keeps such a name as a tag of
//! that one span.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

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
}

struct Table {
    names: Vec<Arc<str>>,
    ids: Option<HashMap<Arc<str>, ServiceId>>,
}

static TABLE: RwLock<Table> = RwLock::new(Table {
    names: Vec::new(),
    ids: None,
});

/// The number of a name, or [`ServiceId::OVERFLOW`]. A read lock and a look-up; a write lock the first time.
pub(crate) fn intern(name: &str) -> ServiceId {
    let known = {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.ids.as_ref().and_then(|ids| ids.get(name)).copied()
    };
    if let Some(id) = known {
        return id;
    }
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let Table { names, ids } = &mut *table;
    let ids = ids.get_or_insert_with(HashMap::new);
    if let Some(id) = ids.get(name) {
        return *id;
    }
    if names.len() >= LIMIT {
        return ServiceId::OVERFLOW;
    }
    let shared: Arc<str> = name.into();
    names.push(Arc::clone(&shared));
    let id = ServiceId(names.len() as u16);
    ids.insert(shared, id);
    id
}

/// The name of a number that [`intern`] gave; nothing for the global service.
pub(crate) fn name(id: ServiceId) -> Option<Arc<str>> {
    if id == ServiceId::GLOBAL {
        return None;
    }
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    usize::from(id.0)
        .checked_sub(1)
        .and_then(|index| table.names.get(index).cloned())
}

/// A worker's copy of the table, so that resolving a span's service takes no lock.
#[derive(Debug, Default)]
pub(crate) struct ServiceNames {
    names: Vec<Arc<str>>,
}

impl ServiceNames {
    /// Takes over names that were added since.
    pub(crate) fn refresh(&mut self) {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        self.names
            .extend(table.names.iter().skip(self.names.len()).cloned());
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
