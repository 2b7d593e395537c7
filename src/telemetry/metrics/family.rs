//! Families of metrics: made by the table, and those whose one label is of a list looked up before a request needs them.

use super::label::Values;
use super::table::MetricKind;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};
use std::sync::OnceLock;

/// Seconds for whole requests: from a quick answer to one that times out.
pub(super) const REQUEST_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds for work inside the process: from a cached verdict to an RSA operation and a slow store.
pub(super) const DECISION_BUCKETS: &[f64] =
    &[0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25];

/// A family of metrics that the table can make.
pub(super) trait Family: Clone {
    /// One metric of it.
    type Member;
    const KIND: MetricKind;
    fn made(name: &str, meaning: &str, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error>;
    fn member(&self, values: &[&str]) -> Self::Member;
}

impl Family for IntCounterVec {
    type Member = IntCounter;
    const KIND: MetricKind = MetricKind::Counter;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
    fn member(&self, values: &[&str]) -> IntCounter {
        self.with_label_values(values)
    }
}

impl Family for IntGaugeVec {
    type Member = IntGauge;
    const KIND: MetricKind = MetricKind::Gauge;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
    fn member(&self, values: &[&str]) -> IntGauge {
        self.with_label_values(values)
    }
}

impl Family for GaugeVec {
    type Member = Gauge;
    const KIND: MetricKind = MetricKind::Gauge;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
    fn member(&self, values: &[&str]) -> Gauge {
        self.with_label_values(values)
    }
}

impl Family for HistogramVec {
    type Member = Histogram;
    const KIND: MetricKind = MetricKind::Histogram;
    fn made(name: &str, meaning: &str, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(HistogramOpts::new(name, meaning).buckets(buckets.to_vec()), labels)
    }
    fn member(&self, values: &[&str]) -> Histogram {
        self.with_label_values(values)
    }
}

/// The members of a family whose last label is of a list in the code, found without a look-up by name; whatever the
/// labels before it say is the same for all of them.
pub(super) struct Members<F: Family> {
    family: F,
    before: Vec<String>,
    known: Vec<(&'static str, OnceLock<F::Member>)>,
}

impl<F: Family> Members<F> {
    /// The members of `family`, of which each comes into being with its first use.
    pub(super) fn new(family: &F, before: &[&str], values: Values) -> Self {
        let known = values.list().unwrap_or_default().into_iter().map(|value| (value, OnceLock::new())).collect();
        Self { family: family.clone(), before: before.iter().map(|&value| value.to_owned()).collect(), known }
    }

    /// Brings all members into being: a counter that is there at 0 shows its first step.
    pub(super) fn present(self) -> Self {
        for (value, member) in &self.known {
            member.get_or_init(|| self.find(value));
        }
        self
    }

    /// Does `what` to the member for `value`.
    pub(super) fn with(&self, value: &str, what: impl FnOnce(&F::Member)) {
        match self.known.iter().find(|(known, _)| *known == value) {
            Some((_, member)) => what(member.get_or_init(|| self.find(value))),
            None => what(&self.find(value)),
        }
    }

    fn find(&self, value: &str) -> F::Member {
        let before = self.before.iter().map(String::as_str);
        self.family.member(&before.chain([value]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_the_family() {
        let family = IntCounterVec::made("a_total", "A.", &["mode", "result"], &[]).unwrap();
        let members = Members::new(&family, &["once"], Values::OneOf(|| vec!["fresh", "replayed"])).present();
        members.with("fresh", IntCounter::inc);
        members.with("of no list", IntCounter::inc);
        assert_eq!(family.with_label_values(&["once", "fresh"]).get(), 1);
        assert_eq!(family.with_label_values(&["once", "of no list"]).get(), 1);
        assert_eq!(family.with_label_values(&["once", "replayed"]).get(), 0);
    }
}
