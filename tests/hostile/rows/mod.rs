//! The corpus over HTTP/1.

mod headers;
mod lines;
mod paths;
mod smuggling;

use crate::row::Row;

pub fn all() -> Vec<Row> {
    [smuggling::rows(), lines::rows(), headers::rows(), paths::rows()].concat()
}
