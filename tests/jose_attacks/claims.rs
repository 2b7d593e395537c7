//! Claims that two readers would read differently, or that stand for no time.

use super::*;

#[test]
fn times_that_are_strings_infinite_or_absurd() {
    for value in ["\"9999999999\"", "1e300", "-1", "null", "[1]", "NaN", "1e999", "253402300800"] {
        assert!(Claims::parse(format!(r#"{{"exp":{value}}}"#).as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn two_subjects_in_one_token() {
    for json in [r#"{"sub":"a","sub":"b"}"#, r#"{"act":{"sub":"a","sub":"b"}}"#] {
        assert!(Claims::parse(json.as_bytes()).is_err(), "{json}");
    }
}
