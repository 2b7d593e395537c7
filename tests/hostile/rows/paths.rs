//! Paths that two programs could read differently.

use crate::row::Expect::Refused;
use crate::row::{Row, get, got, row};

pub fn rows() -> Vec<Row> {
    let refused = |path: &'static str| row(path, get(path, ""), Refused(400));
    let tricks = [
        "/%61dmin",
        "/public/../admin",
        "/public/./../admin",
        "/public/%2e%2e/admin",
        "/public/.%2e/admin",
        "/public/%2E./admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..%5cadmin",
        "/public/..;/admin",
        "/public;/../admin",
        "/admin;x",
        "//admin",
        "/public//admin",
        "/public/%252e%252e/admin",
        "/public/%00/admin",
        "/admin%00",
        "/public/%0d%0aX-User-Id:%20root",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%u002e%u002e/admin",
        "/public/%",
        "/public/%4",
        "/public/%zz",
        "/public/%7f",
        "/public/%ff",
    ];
    let odd = [
        ("/public/...", got("/public/...")),
        ("/public/a%25", got("/public/a%25")),
        ("/public/x?../../admin", got("/public/x?../../admin")),
    ];
    let odd = odd.into_iter().map(|(path, expect)| row(path, get(path, ""), expect));
    tricks.into_iter().map(refused).chain(odd).collect()
}
