//! Pictures of measurements: SVG, readable on a light and on a dark page.

#![allow(dead_code, reason = "every bench draws its own kind")]

use std::fmt::Write as _;

/// One bar.
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// How long it is.
    pub value: f64,
    /// Where a goal lies.
    pub mark: Option<f64>,
    /// Whose it is.
    pub tone: Tone,
}

/// Whose a bar or a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The measure of all others.
    Measure,
    /// Ours.
    Ours,
    /// Somebody else's.
    Other,
}

impl Tone {
    fn colour(self) -> &'static str {
        match self {
            Self::Measure => "#8b949e",
            Self::Ours => "#2f81f7",
            Self::Other => "#d29922",
        }
    }
}

const INK: &str = "#6e7681";
const WIDTH: f64 = 900.0;

/// The lines as text: each with what it stands for, and its points.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let _ = write!(text, "  {:<40}", line.label);
        for (across, up) in &line.points {
            let _ = write!(text, "{across:>9}: {up:>6.2}");
        }
        text.push('\n');
    }
    text
}

/// Bars beneath each other, each with its value and `unit` at its end.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    const ROW: f64 = 26.0;
    const LABELS: f64 = 360.0;
    const TOP: f64 = 44.0;
    let most = bars.iter().flat_map(|bar| [bar.value, bar.mark.unwrap_or(0.0)]).fold(1.0, f64::max);
    let scale = (WIDTH - LABELS - 90.0) / most;
    let mut body = String::new();
    let mut y = TOP;
    for bar in bars {
        let (label, length, colour) = (escaped(&bar.label), bar.value * scale, bar.tone.colour());
        let (middle, end) = (y + 15.0, LABELS + bar.value * scale + 6.0);
        let _ = writeln!(body, r#"<text x="{}" y="{middle}" text-anchor="end">{label}</text>"#, LABELS - 8.0);
        let _ = writeln!(
            body,
            r#"<rect x="{LABELS}" y="{}" width="{length:.1}" height="18" rx="2" fill="{colour}"/>"#,
            y + 1.0
        );
        let _ = writeln!(body, r#"<text x="{end:.1}" y="{middle}">{:.2} {unit}</text>"#, bar.value);
        if let Some(mark) = bar.mark {
            let x = LABELS + mark * scale;
            let _ = writeln!(body, r##"<path d="M{x:.1} {}v22" stroke="#da3633" stroke-width="2"/>"##, y - 1.0);
        }
        y += ROW;
    }
    framed(title, y + 10.0, &body)
}

/// A number of points that belong together.
pub struct Line {
    /// What it stands for.
    pub label: String,
    /// From left to right: how much there was of it, and what it cost.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one logarithmic axis.
pub fn lines(title: &str, across: &str, up: &str, lines: &[Line]) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 50.0;
    const RIGHT: f64 = 640.0;
    const HEIGHT: f64 = 260.0;
    const COLOURS: [&str; 7] = ["#2f81f7", "#d29922", "#3fb950", "#a371f7", "#f85149", "#8b949e", "#39c5cf"];
    let points = || lines.iter().flat_map(|line| &line.points);
    let (first, last) = points().fold((f64::INFINITY, 1.0), |(a, b), (x, _)| (f64::min(a, *x), f64::max(b, *x)));
    let most = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.15;
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value / first).log10() / (last / first).log10().max(0.01);
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / most);
    let mut body = format!(
        r#"<path d="M{LEFT} {TOP}v{HEIGHT}h{}" fill="none" stroke="{INK}"/><text x="{}" y="{}" text-anchor="middle">{}</text><text x="{LEFT}" y="{}">{}</text>"#,
        RIGHT - LEFT,
        f64::midpoint(LEFT, RIGHT),
        TOP + HEIGHT + 36.0,
        escaped(across),
        TOP - 6.0,
        escaped(up)
    );
    let mut tick = 10_f64.powf(first.log10().ceil());
    while tick <= last {
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="{}" text-anchor="middle">{tick}</text>"#,
            x(tick),
            TOP + HEIGHT + 18.0
        );
        tick *= 10.0;
    }
    for share in [0.25, 0.5, 0.75] {
        let at = TOP + HEIGHT * (1.0 - share);
        let _ = writeln!(
            body,
            r#"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="{INK}" stroke-opacity=".25"/><text x="{}" y="{:.1}" text-anchor="end">{:.1}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            most * share
        );
    }
    let mut row = TOP + 12.0;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let path: Vec<String> = line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let _ =
            writeln!(body, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.join(" "));
        for (a, b) in &line.points {
            let _ = writeln!(body, r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{colour}"/>"#, x(*a), y(*b));
        }
        let name = escaped(&line.label);
        let _ = writeln!(
            body,
            r#"<rect x="{}" y="{}" width="12" height="4" fill="{colour}"/><text x="{}" y="{row}">{name}</text>"#,
            RIGHT + 16.0,
            row - 6.0,
            RIGHT + 34.0
        );
        row += 20.0;
    }
    framed(title, TOP + HEIGHT + 52.0, &body)
}

fn framed(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
