//! What is wrong with a configuration: always with its file, line and path, and always with what to write instead.
//!
//! Faults are collected, never returned one by one: whoever fixes a file wants the whole list. A fault is written from
//! fixed phrases, names and numbers; the value of a key that may hold a secret is never part of it.

use super::path::Path;
use super::site::Site;
use std::fmt;

/// One fault: where it is, what is wrong there, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    file: String,
    line: usize,
    path: String,
    problem: String,
    remedy: String,
}

impl Fault {
    /// The file, as it was named on the command line or found by `include`.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line in that file, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The path of the key, such as `routes[orders].access.scopes`; items of a list go by name where they have one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}, {}", self.file, self.line, self.path, self.problem, self.remedy)
    }
}

/// The most faults that are kept: a file with more is no configuration at all, and nobody reads further.
pub const MAX_FAULTS: usize = 1000;

/// All faults of a configuration, by file (gateway.yaml first) and line. Never empty where it stands as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    entries: Vec<Entry>,
}

/// A fault with what orders it and what later stages ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    order: usize,
    at: Path,
    fault: Fault,
}

impl Faults {
    /// Notes that something is wrong at `site`.
    ///
    /// `problem` continues the path ("is empty"), `remedy` says what to write ("write a number").
    pub fn push(&mut self, site: &Site, problem: impl Into<String>, remedy: impl Into<String>) {
        self.push_at_line(site, site.line(), problem, remedy);
    }

    /// As [`push`](Self::push), at another line than the one where `site` begins.
    pub fn push_at_line(&mut self, site: &Site, line: usize, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = Fault {
            file: site.document().name().to_owned(),
            line,
            path: site.to_string(),
            problem: problem.into(),
            remedy: remedy.into(),
        };
        let entry = Entry { order: site.document().order(), at: site.path().clone(), fault };
        if !self.is_full() && !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// Notes that `site` lacks something, unless what stands at or below it is faulty already: then the something may
    /// well have been written, only wrongly, and a second fault would mislead.
    pub fn push_missing(&mut self, site: &Site, problem: impl Into<String>, remedy: impl Into<String>) {
        if !self.touches(site) {
            self.push(site, problem, remedy);
        }
    }

    /// True if a fault stands at `site` or below it.
    #[must_use]
    pub fn touches(&self, site: &Site) -> bool {
        let order = site.document().order();
        self.entries.iter().any(|entry| entry.order == order && entry.at.is_within(site.path()))
    }

    /// True if a fault stands exactly at `site`.
    #[must_use]
    pub fn has(&self, site: &Site) -> bool {
        let order = site.document().order();
        self.entries.iter().any(|entry| entry.order == order && entry.at == *site.path())
    }

    /// True if no further fault is kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_FAULTS
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many faults there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The faults in the order of [`into_result`](Self::into_result).
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.entries.iter().map(|entry| &entry.fault)
    }

    /// `value` if there is no fault and `value` is there; else the faults by file and line.
    pub fn into_result<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.entries.is_empty() => Ok(value),
            _ => {
                self.entries.sort_by_key(|entry| (entry.order, entry.fault.line));
                Err(self)
            }
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        if self.is_full() {
            write!(f, "\nthere may be more: only {MAX_FAULTS} faults are listed")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
