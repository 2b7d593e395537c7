//! Parameters of a form or a query (`application/x-www-form-urlencoded`, WHATWG URL §5.1).

/// Why a parameter can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It stands there more than once: two readers would pick different ones (RFC 6749 §3.1 forbids it).
    #[error("a parameter is repeated")]
    Repeated,
    /// It does not spell UTF-8.
    #[error("a parameter is not UTF-8")]
    NotUtf8,
}

/// The value of the parameter called `name`, decoded; `None` where there is none.
pub fn parameter(form: &[u8], name: &str) -> Result<Option<String>, FormError> {
    let mut found = None;
    for pair in form.split(|byte| *byte == b'&') {
        let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&pair[..equals], &pair[equals + 1..]),
            None => (pair, &[][..]),
        };
        if decoded(key) != name.as_bytes() {
            continue;
        }
        let value = String::from_utf8(decoded(value)).map_err(|_| FormError::NotUtf8)?;
        if found.replace(value).is_some() {
            return Err(FormError::Repeated);
        }
    }
    Ok(found)
}

/// A `%` without two digits behind it stands for itself, as browsers have it.
fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [byte, rest @ ..] = text {
        let (value, rest) = match (byte, rest) {
            (b'+', rest) => (b' ', rest),
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => (b'%', rest),
            },
            (byte, rest) => (*byte, rest),
        };
        bytes.push(value);
        text = rest;
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(form: &str, name: &str) -> Result<Option<String>, FormError> {
        parameter(form.as_bytes(), name)
    }

    #[test]
    fn a_parameter_is_found_and_decoded() {
        assert_eq!(value("a=1&token=x.y-z_&b", "token"), Ok(Some("x.y-z_".into())));
        assert_eq!(value("t%6fken=a+b%2Bc%3d%C3%A9", "token"), Ok(Some("a b+c=é".into())));
        assert_eq!(value("token", "token"), Ok(Some(String::new())));
        assert_eq!(value("token=100%&x=%zz", "token"), Ok(Some("100%".into())));
        assert_eq!(value("tokens=1&=token", "token"), Ok(None));
        assert_eq!(value("", "token"), Ok(None));
    }

    #[test]
    fn what_two_readers_would_read_differently_is_refused() {
        assert_eq!(value("token=a&token=b", "token"), Err(FormError::Repeated));
        assert_eq!(value("token=a&%74oken=a", "token"), Err(FormError::Repeated));
        assert_eq!(value("token=%ff", "token"), Err(FormError::NotUtf8));
    }
}
