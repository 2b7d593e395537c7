//! Rust source as a flat list of words and signs: enough to see which paths a file names. Comments, strings, characters
//! and lifetimes are dropped, so that prose and messages never look like code.

/// One word or sign and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of `source`; `::` is one sign.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source, line: 1, found: Vec::new() };
    while reader.step() {}
    reader.found
}

/// `tokens` less every item under `#[cfg(test)]`; and the names of modules that are declared there but stand in a file
/// of their own.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut test_modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if starts(tokens, at, &["#", "!", "["]) && is_test_attribute(&tokens[at + 2..]) {
            return (Vec::new(), Vec::new());
        }
        if !(starts(tokens, at, &["#", "["]) && is_test_attribute(&tokens[at + 1..])) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        while starts(tokens, at, &["#", "["]) {
            at += 1 + bracketed(&tokens[at + 1..]);
        }
        let item = &tokens[at..at + item_length(&tokens[at..])];
        if let Some(name) = item.windows(3).find(|w| w[0].text == "mod" && w[2].text == ";") {
            test_modules.push(name[1].text.clone());
        }
        at += item.len();
    }
    (kept, test_modules)
}

/// Whether the tokens at `at` read exactly `wanted`.
pub fn starts(tokens: &[Token], at: usize, wanted: &[&str]) -> bool {
    tokens.len() >= at + wanted.len() && tokens[at..].iter().zip(wanted).all(|(token, want)| token.text == *want)
}

/// `[cfg(test)]`, `[cfg(all(test, …))]`; not `[cfg(not(test))]`.
fn is_test_attribute(tokens: &[Token]) -> bool {
    let attribute = &tokens[..bracketed(tokens)];
    let names = |word: &str| attribute.iter().any(|token| token.text == word);
    starts(attribute, 0, &["[", "cfg", "("]) && names("test") && !names("not")
}

/// The length of the bracketed group that `tokens` begin with.
fn bracketed(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        depth += nesting(&token.text);
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The length of the item that `tokens` begin with: to its `;`, or to the end of its braces.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        depth += nesting(&token.text);
        if depth < 0 {
            return at;
        }
        if depth == 0 && (token.text == ";" || token.text == "}") {
            return at + 1;
        }
    }
    tokens.len()
}

fn nesting(sign: &str) -> i32 {
    match sign {
        "(" | "[" | "{" => 1,
        ")" | "]" | "}" => -1,
        _ => 0,
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Reader<'_> {
    /// Reads one token, comment or literal; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if let Some(length) = comment_length(self.rest).or_else(|| literal_length(self.rest)) {
            self.skip(length);
        } else if is_word(first) {
            let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            self.take(length);
        } else if self.rest.starts_with("::") {
            self.take(2);
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.take(first.len_utf8());
        }
        true
    }

    fn take(&mut self, length: usize) {
        self.found.push(Token { text: self.rest[..length].to_owned(), line: self.line });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment at the start of `rest`; block comments nest.
fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(rest.len())
}

/// The length of the string, character or lifetime at the start of `rest`, its prefix (`b`, `r#`, …) included.
fn literal_length(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            after.starts_with('"') || (prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"'))
        })
    });
    let start = prefix.map_or(0, str::len);
    let body = &rest[start..];
    if prefix.is_some_and(|prefix| prefix.ends_with('r')) {
        let hashes = body.find('"')?;
        let end = format!("\"{}", &body[..hashes]);
        let length = body[hashes + 1..].find(&end).map_or(body.len(), |at| hashes + 1 + at + end.len());
        return Some(start + length);
    }
    if body.starts_with('"') {
        return Some(start + quoted_length(body, b'"'));
    }
    let quoted = rest.strip_prefix('\'')?;
    let mut chars = quoted.chars();
    let (first, second) = (chars.next()?, chars.next());
    if first == '\\' {
        return Some(quoted_length(rest, b'\''));
    }
    if second == Some('\'') {
        return Some(2 + first.len_utf8());
    }
    Some(1 + quoted.find(|c| !is_word(c)).unwrap_or(quoted.len()))
}

/// The length of the text between two `quote`s at the start of `rest`, escapes respected.
fn quoted_length(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}
