//! The command line.

/// What is told to somebody who asks for something else.
pub const USAGE: &str =
    "side_by_side [--smoke | --save] [--growth] [--rounds N] [--requests N] [--rate N] [--only TEXT]";

/// How much is measured.
pub struct Options {
    /// A few requests of each case; nothing is measured for keeps.
    pub smoke: bool,
    /// Replace the numbers of the last run.
    pub save: bool,
    /// Measure how the cost grows instead.
    pub growth: bool,
    /// How often each case has its turn.
    pub rounds: usize,
    /// The requests of one turn.
    pub requests: usize,
    /// Keep-alive connections, each with one request under way.
    pub connections: usize,
    /// Requests a second, where they come at a rate.
    pub rate: f64,
    /// Seconds of one turn at that rate.
    seconds: f64,
    only: Option<String>,
}

impl Options {
    /// Reads the arguments; `None` when they are not understood.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let mut options = Self {
            smoke: false,
            save: false,
            growth: false,
            rounds: 7,
            requests: 4000,
            connections: 8,
            rate: 1000.0,
            seconds: 2.0,
            only: None,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                // cargo says so to every bench.
                "--bench" => {}
                "--smoke" => options.be_brief(),
                "--growth" => options.growth = true,
                "--save" => options.save = true,
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--requests" => options.requests = arguments.next()?.parse().ok()?,
                "--rate" => options.rate = arguments.next()?.parse().ok()?,
                "--only" => options.only = Some(arguments.next()?.to_owned()),
                _ => return None,
            }
        }
        Some(options)
    }

    fn be_brief(&mut self) {
        (self.smoke, self.rounds, self.requests, self.rate, self.seconds) = (true, 1, 80, 200.0, 0.2);
    }

    /// True when the case of this name is asked for. The bare proxy always is: it is the measure.
    pub fn includes(&self, name: &str) -> bool {
        name == super::cases::BARE || self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// How many requests fill the time at this rate.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    pub fn paced(&self, rate: f64) -> usize {
        ((rate * self.seconds) as usize).max(1)
    }
}
