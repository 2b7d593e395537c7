//! The table of attacks: what each is called, how its token is made, where it is tried, and the one reason for which it
//! is refused.

use tollgate::decision::Reason;

use super::issuers::Keys;
use super::rows;

/// How the token of an attack is made.
type Make = Box<dyn Fn(&Keys) -> String + Send + Sync>;

/// One attack.
pub struct Attack {
    /// What it does, in words; unique.
    pub name: String,
    /// The route it is tried on, `/NAME`.
    pub route: &'static str,
    /// Why it is refused.
    pub reason: Reason,
    make: Make,
}

impl Attack {
    pub fn token(&self, keys: &Keys) -> String {
        (self.make)(keys)
    }

    pub fn path(&self) -> String {
        format!("/{}", self.route)
    }
}

/// A table in the making.
#[derive(Default)]
pub struct Table(Vec<Attack>);

impl Table {
    /// Adds a row.
    pub fn row(
        &mut self,
        name: impl Into<String>,
        route: &'static str,
        reason: Reason,
        make: impl Fn(&Keys) -> String + Send + Sync + 'static,
    ) {
        self.0.push(Attack { name: name.into(), route, reason, make: Box::new(make) });
    }
}

/// Every attack there is.
pub fn attacks() -> Vec<Attack> {
    let mut table = Table::default();
    rows::forms::add(&mut table);
    rows::headers::add(&mut table);
    rows::algorithms::add(&mut table);
    rows::signatures::add(&mut table);
    rows::keys::add(&mut table);
    rows::content::add(&mut table);
    rows::wrapping::add(&mut table);
    rows::nesting::add(&mut table);
    rows::claims::add(&mut table);
    rows::times::add(&mut table);
    table.0
}
