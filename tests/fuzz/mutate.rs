//! Mutations of a corpus, the same on every run.

/// Pieces with a meaning to one of the parsers.
const PIECES: [&str; 64] = [
    ".",
    "..",
    "...",
    "=",
    "==",
    "-",
    "_",
    "+",
    "/",
    "//",
    "\\",
    "%",
    "%2",
    "%2f",
    "%2e",
    "%25",
    "%00",
    "%C0%AF",
    ";",
    "?",
    "#",
    ":",
    "@",
    "[",
    "]",
    "[::1]",
    ":443",
    ":65536",
    "{",
    "}",
    "{}",
    "[]",
    "\"",
    "\"\"",
    ",",
    ", ",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\u{feff}",
    "\u{7f}",
    "é",
    "🦀",
    "null",
    "true",
    "-0",
    "1e999",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "\"alg\":\"none\"",
    "\"kid\":\"\"",
    "\"crit\":[]",
    "\"exp\":1e300",
    "\"kty\":\"oct\"",
    "\"d\":\"AQ\"",
    "\"crv\":\"P-521\"",
    "\"x\":\"\"",
    "\"e\":\"AQ\"",
    "Bearer ",
    "DPoP ",
    "AAAA",
    "eyJhbGciOiJub25lIn0",
];

/// A source of inputs: a seed with a few changes, now and then something of no shape at all.
pub struct Mutator<'s> {
    random: Random,
    seeds: &'s [Vec<u8>],
}

impl<'s> Mutator<'s> {
    pub fn new(seed: u64, seeds: &'s [Vec<u8>]) -> Self {
        Self { random: Random(seed | 1), seeds }
    }

    pub fn next_input(&mut self, round: usize) -> Vec<u8> {
        if round.is_multiple_of(64) {
            let len = self.random.below(400);
            return (0..len).map(|_| self.random.byte()).collect();
        }
        let mut input = self.seeds[round % self.seeds.len()].clone();
        for _ in 0..=self.random.below(4) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = (at + 1 + self.random.below(16)).min(input.len());
        match self.random.below(10) {
            0 => drop(input.splice(at..at, PIECES[self.random.below(PIECES.len())].bytes())),
            1 => drop(input.splice(at..end.max(at), PIECES[self.random.below(PIECES.len())].bytes())),
            2 => drop(input.drain(at..end.max(at))),
            3 => input.truncate(at),
            4 => self.at(input, at, |byte, random| byte ^ (1 << random.below(8))),
            5 => self.at(input, at, |_, random| random.byte()),
            6 => {
                let copy = input[at..end.max(at)].to_vec();
                let times = 1 << self.random.below(8);
                let to = self.random.below(input.len() + 1);
                input.splice(to..to, copy.repeat(times));
            }
            7 => {
                let other = &self.seeds[self.random.below(self.seeds.len())];
                let from = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            8 => self.replace_number(input),
            _ => {
                let bytes = [self.random.byte(), self.random.byte()];
                input.splice(at..at, bytes);
            }
        }
    }

    fn at(&mut self, input: &mut [u8], at: usize, change: impl Fn(u8, &mut Random) -> u8) {
        if let Some(byte) = input.get_mut(at) {
            *byte = change(*byte, &mut self.random);
        }
    }

    /// Puts a limit in the place of a number.
    fn replace_number(&mut self, input: &mut Vec<u8>) {
        const LIMITS: [&str; 9] =
            ["0", "-1", "255", "65536", "4294967296", "9223372036854775807", "18446744073709551615", "1e308", "0.1"];
        let Some(start) = input.iter().position(u8::is_ascii_digit) else { return };
        let len = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        input.splice(start..start + len, LIMITS[self.random.below(LIMITS.len())].bytes());
    }
}

/// xorshift64*: enough chance for a test, and the same chance every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// FNV-1a: names files and begins sequences.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
