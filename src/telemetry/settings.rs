//! What the log is told.

/// How much is logged. There is no finer level than [`Self::Info`]: below it, libraries print whole requests, tokens
/// included, and the build leaves such lines out (`log/release_max_level_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// What somebody must repair.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And one line a request.
    #[default]
    Info,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// Standard output: `run` under a supervisor.
    #[default]
    Stdout,
    /// Standard error: commands whose output is an answer.
    Stderr,
}

/// The log: JSON, one object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
    /// Where to.
    pub target: LogTarget,
}
