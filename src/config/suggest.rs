//! Which known word was meant by an unknown one.

/// The one of `known` that differs from `word` by the fewest typing slips, if those are few.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A slip for each three letters, at least one, at most three: more would suggest words that have nothing in common.
    nearest_within((word.len() / 3).clamp(1, 3), word, known.iter().copied())
}

/// The one of `known` that differs from `word` by the fewest typing slips, if those are `most` or fewer.
#[must_use]
pub fn nearest_within<'a>(most: usize, word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: letters added, dropped or exchanged.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(b) {
            let exchanged = diagonal + usize::from(left != right);
            diagonal = *cell;
            previous = exchanged.min(diagonal + 1).min(previous + 1);
            *cell = previous;
        }
    }
    // Against an empty word there is no cell to go through: every letter of the other is a slip.
    if b.is_empty() { a.len() } else { row.last().copied().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_foreign_word_is_not() {
        let known = ["upstream", "match", "name", "access", "signing_algorithms"];
        assert_eq!(nearest("upsteam", &known), Some("upstream"));
        assert_eq!(nearest("signing-algorithms", &known), Some("signing_algorithms"));
        assert_eq!(nearest("acces", &known), Some("access"));
        assert_eq!(nearest("plugins", &known), None);
    }

    #[test]
    fn the_distance_counts_slips() {
        for (a, b, slips) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "ab", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), slips, "{a} {b}");
        }
    }
}
