//! Spoils good tokens by chance, the same chance every time: bytes, segments, members and whole halves.

use serde_json::{Map, Value, json};

use super::token::b64;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Changes to headers and claims that would be worth a forger's while.
const MEMBERS: [(&str, &str); 40] = [
    ("alg", "\"none\""),
    ("alg", "\"HS256\""),
    ("alg", "\"RS256\""),
    ("alg", "\"ES256\""),
    ("alg", "\"dir\""),
    ("alg", "\"RSA1_5\""),
    ("alg", "null"),
    ("enc", "\"A128CBC-HS256\""),
    ("enc", "\"A256GCM\""),
    ("kid", "\"es-2\""),
    ("kid", "\"\""),
    ("kid", "\"../x\""),
    ("typ", "\"JWT\""),
    ("typ", "\"dpop+jwt\""),
    ("cty", "\"JWT\""),
    ("crit", "[]"),
    ("zip", "\"DEF\""),
    ("b64", "false"),
    ("jwk", "{}"),
    ("jku", "\"https://a.test\""),
    ("p2c", "1"),
    ("epk", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}"),
    ("apu", "\"AA\""),
    ("iv", "\"AA\""),
    ("tag", "\"AAAAAAAAAAAAAAAAAAAAAA\""),
    ("iss", "\"https://rs.example.test\""),
    ("sub", "\"admin\""),
    ("sub", "[]"),
    ("aud", "[]"),
    ("exp", "99999999999"),
    ("exp", "1e300"),
    ("exp", "\"1\""),
    ("nbf", "0"),
    ("iat", "0"),
    ("jti", "\"another\""),
    ("scope", "\"admin\""),
    ("act", "null"),
    ("x", "[[[[[[1]]]]]]"),
    ("", "0"),
    ("roles", "[\"admin\"]"),
];

/// A source of spoilt tokens.
pub struct Spoiler {
    state: u64,
    good: Vec<(&'static str, String)>,
}

impl Spoiler {
    /// Spoils `good`, each token beside the route that accepts it.
    pub fn new(seed: u64, good: Vec<(&'static str, String)>) -> Self {
        Self { state: seed | 1, good }
    }

    /// The next token that is none of the good ones, and the route to try it on.
    pub fn next_token(&mut self) -> (&'static str, String) {
        loop {
            let (route, mut token) = self.pick();
            for _ in 0..=self.below(3) {
                token = self.spoil(&token);
            }
            let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            if fits && !self.good.iter().any(|(_, good)| *good == token) {
                let route = if self.below(16) == 0 { self.pick().0 } else { route };
                return (route, token);
            }
        }
    }

    fn pick(&mut self) -> (&'static str, String) {
        let at = self.below(self.good.len());
        self.good[at].clone()
    }

    fn spoil(&mut self, token: &str) -> String {
        let at = self.below(token.len().max(1)).min(token.len());
        match self.below(12) {
            0 => self.substitute(token, at),
            1 => token[..at].to_owned(),
            2 => format!("{}{}{}", &token[..at], char::from(self.letter()), &token[at..]),
            3 => format!("{}.{}", &token[..at], &token[at..]),
            4 => [&token[..at], token.get(at + 1..).unwrap_or_default()].concat(),
            5 => {
                let end = (at + self.below(40)).min(token.len());
                format!("{}{}{}", &token[..end], &token[at..end], &token[end..])
            }
            6 => {
                let other = self.pick().1;
                let cut = at.min(other.len());
                format!("{}{}", &token[..at], &other[cut..])
            }
            7 => self.exchange_segment(token),
            8 => self.flip_bit(token),
            9 => self.resize_segment(token),
            // The second segment of a JWE is no object, and then stays as it is.
            10 => self.set_member(token, 0),
            _ => self.set_member(token, 1),
        }
    }

    fn substitute(&mut self, token: &str, at: usize) -> String {
        let mut bytes = token.as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = self.letter();
        }
        String::from_utf8(bytes).unwrap()
    }

    fn exchange_segment(&mut self, token: &str) -> String {
        let other = self.pick().1;
        let (mut ours, theirs): (Vec<&str>, Vec<&str>) = (token.split('.').collect(), other.split('.').collect());
        let (to, from) = (self.below(ours.len()), self.below(theirs.len()));
        // Mostly the segment of the same place.
        let from = if self.below(4) == 0 { from } else { to.min(theirs.len() - 1) };
        ours[to] = theirs[from];
        ours.join(".")
    }

    fn flip_bit(&mut self, token: &str) -> String {
        let bit = self.below(8);
        self.change_segment(token, |spoiler, bytes| {
            let at = spoiler.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        })
    }

    fn resize_segment(&mut self, token: &str) -> String {
        self.change_segment(token, |spoiler, bytes| {
            let len = match spoiler.below(4) {
                0 => spoiler.below(65),
                1 => bytes.len().saturating_sub(1),
                2 => bytes.len() + 1,
                _ => spoiler.below(bytes.len() + 1),
            };
            bytes.resize(len, 0);
        })
    }

    fn change_segment(&mut self, token: &str, change: impl FnOnce(&mut Self, &mut Vec<u8>)) -> String {
        let mut segments: Vec<String> = token.split('.').map(str::to_owned).collect();
        let at = self.below(segments.len());
        if let Some(mut bytes) = decoded(&segments[at]) {
            change(self, &mut bytes);
            segments[at] = b64(bytes);
        }
        segments.join(".")
    }

    fn set_member(&mut self, token: &str, place: usize) -> String {
        let mut segments: Vec<String> = token.split('.').map(str::to_owned).collect();
        let object = segments.get(place).and_then(|text| decoded(text));
        let object = object.and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
        if let Some(mut object) = object {
            let (name, value) = MEMBERS[self.below(MEMBERS.len())];
            if self.below(4) == 0 {
                object.remove(name);
            } else {
                object.insert(name.to_owned(), serde_json::from_str(value).unwrap_or(json!(value)));
            }
            segments[place] = b64(Value::Object(object).to_string());
        }
        segments.join(".")
    }

    fn letter(&mut self) -> u8 {
        ALPHABET[self.below(ALPHABET.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound.max(1)
    }
}

fn decoded(segment: &str) -> Option<Vec<u8>> {
    segment.bytes().all(|byte| ALPHABET.contains(&byte)).then(|| tollgate::jose::base64url::decode(segment))?
}
