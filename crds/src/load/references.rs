//! What documents say of each other: names that must exist, and what may be there only once.

use std::{collections::BTreeMap, fmt::Display};

use super::{Kind, Loaded, Loader};
use crate::{
    LoadError, LoadErrors,
    kinds::{NumberSpec, PoolSpec},
};

impl Loader<'_> {
    /// Checks names, accounts, ids and numbers across documents.
    pub(super) fn check_references(&mut self) {
        let mut errors = Vec::new();
        once(&self.tenants, "account", |spec| spec.account, &mut errors);
        once(&self.applications, "sid", |spec| spec.sid, &mut errors);
        once(&self.numbers, "number", |spec| spec.number.clone(), &mut errors);
        for application in self.applications.values() {
            if errors.len() >= LoadErrors::MAX {
                break;
            }
            errors.extend(
                refers(application, "tenant", &application.spec.tenant, &self.tenants).err(),
            );
        }
        for number in self.numbers.values() {
            if errors.len() >= LoadErrors::MAX {
                break;
            }
            errors.extend(refers(number, "tenant", &number.spec.tenant, &self.tenants).err());
            if let Some(name) = &number.spec.application {
                errors.extend(self.application_of_number(number, name).err());
            }
        }
        errors.extend(self.pools_disagree());
        self.errors.extend(errors);
    }

    fn pools_disagree(&self) -> Option<LoadError> {
        let first = self.pools.values().next()?;
        let order = |pool: &PoolSpec| (pool.order, pool.first, pool.half_life);
        self.pools.values().find_map(|pool| {
            let (key, allowed) = if order(&pool.spec) != order(&first.spec) {
                let (order, goes_first, half_life) = order(&first.spec);
                (
                    "order",
                    format!("{order:?} with {goes_first:?} first and a half-life of {half_life}"),
                )
            } else if pool.spec.order_of_messages() != first.spec.order_of_messages() {
                ("messageOrder", format!("{:?}", first.spec.order_of_messages()))
            } else if pool.spec.floors != first.spec.floors {
                ("floors", format!("{:?}", first.spec.floors))
            } else {
                return None;
            };
            let problem = format!("pools of routers must agree on the {key}");
            let allowed = format!("{allowed}, as in {}", first.document.file().display());
            Some(pool.error(&["spec", key], problem, Some(allowed)))
        })
    }

    fn application_of_number(
        &self,
        number: &Loaded<'_, NumberSpec>,
        name: &str,
    ) -> Result<(), LoadError> {
        let application = refers(number, "application", name, &self.applications)?;
        if application.spec.tenant == number.spec.tenant {
            return Ok(());
        }
        let problem =
            format!("application {name:?} belongs to tenant {:?}", application.spec.tenant);
        let allowed = Some(format!("an application of tenant {:?}", number.spec.tenant));
        Err(number.error(&["spec", "application"], problem, allowed))
    }
}

/// The document that `name` in `from` means.
fn refers<'k, 'a, T, U>(
    from: &Loaded<'_, T>,
    field: &str,
    name: &str,
    kind: &'k Kind<'a, U>,
) -> Result<&'k Loaded<'a, U>, LoadError> {
    kind.get(name).ok_or_else(|| {
        let names: Vec<_> = kind.keys().take(10).map(String::as_str).collect();
        let allowed =
            if names.is_empty() { "none is declared".to_owned() } else { names.join(", ") };
        from.error(&["spec", field], format!("there is no {field} {name:?}"), Some(allowed))
    })
}

/// Refuses a value that two documents of a kind hold.
fn once<T, V: Ord + Display>(
    kind: &Kind<'_, T>,
    field: &str,
    value: impl Fn(&T) -> V,
    errors: &mut Vec<LoadError>,
) {
    let mut seen = BTreeMap::new();
    for (name, loaded) in kind {
        let value = value(&loaded.spec);
        if let Some(first) = seen.get(&value).filter(|_| errors.len() < LoadErrors::MAX) {
            let problem = format!("{value} is that of {first:?} already");
            let allowed = Some("a value that is used once".to_owned());
            errors.push(loaded.error(&["spec", field], problem, allowed));
        } else {
            seen.insert(value, name);
        }
    }
}
