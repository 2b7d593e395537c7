//! 2. Where a request wants to go. A route answers only *where*; what it asks is each room's own policy by [`RouteId`].

pub mod cors;
pub mod rewrite;
pub mod table;

pub use cors::{CorsError, CorsPolicy, CorsRule, Origins};
pub use rewrite::{PrefixError, Rewrite};
pub use table::{Match, Parameters, Pattern, PatternError, RouteTable, RouteTableBuilder, Routed, TableError};

/// The number of a route within one generation of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u32);

impl RouteId {
    /// The id of the route at `index`.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The position of the route in every table that is ordered by route.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
