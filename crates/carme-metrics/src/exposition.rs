//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::histogram::Snapshot;

/// What the text is, for `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of figure a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Durations by bucket.
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A text that is being written, family by family.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// Labels and their values. One whose value is empty is left out, which means the same.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family; its samples follow. A family is begun once, also when it turns out to have no samples.
    pub fn family<'t>(&'t mut self, name: &'static str, kind: Kind, help: &str) -> Family<'t> {
        let text = &mut self.0;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        Family { text, name }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The text so far.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A family that samples are being written to.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The samples of a histogram.
    pub fn histogram(&mut self, labels: Labels<'_>, snapshot: &Snapshot) {
        for (bound, count) in snapshot.buckets() {
            self.line("_bucket", labels, Some(("le", bound)), count);
        }
        self.line("_sum", labels, None, snapshot.seconds());
        self.line("_count", labels, None, snapshot.count());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, last: Option<(&str, &str)>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let present = labels.iter().filter(|(_, value)| !value.is_empty());
        let mut before = '{';
        for (name, value) in present.copied().chain(last) {
            self.text.push(before);
            before = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Histogram;

    #[test]
    fn samples_labels_and_what_must_be_escaped() {
        let mut text = Exposition::default();
        text.single("a_total", Kind::Counter, "One \\ two\nthree.", 7);
        let mut family = text.family("b", Kind::Gauge, "B.");
        family.sample(&[("x", "a\"b\\c\nd"), ("empty", ""), ("y", "é")], 1.5);
        family.sample(&[("empty", "")], 4);
        assert_eq!(
            text.into_text(),
            "# HELP a_total One \\\\ two\\nthree.\n# TYPE a_total counter\na_total 7\n# HELP b B.\n# TYPE b gauge\n\
             b{x=\"a\\\"b\\\\c\\nd\",y=\"é\"} 1.5\nb 4\n"
        );
    }

    #[test]
    fn a_histogram_has_all_its_parts() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(2));
        let mut text = Exposition::default();
        text.family("d_seconds", Kind::Histogram, "D.")
            .histogram(&[("app", "a")], &histogram.snapshot());
        let text = text.into_text();
        for line in [
            "d_seconds_bucket{app=\"a\",le=\"0.001\"} 0",
            "d_seconds_bucket{app=\"a\",le=\"0.0025\"} 1",
            "d_seconds_bucket{app=\"a\",le=\"+Inf\"} 1",
            "d_seconds_sum{app=\"a\"} 0.002",
            "d_seconds_count{app=\"a\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
