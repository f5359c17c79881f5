//! A parser of Prometheus' text format that forgives nothing: what a test scrapes is what the format's description says,
//! or the test fails with the line that is not.

use std::collections::{BTreeMap, BTreeSet};

/// Labels and their values, by name.
type Labels = BTreeMap<String, String>;

/// A family of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its samples, by their full name.
    pub samples: Vec<(String, Labels, f64)>,
}

/// What was scraped, by the families' names.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape(pub BTreeMap<String, Family>);

impl Scrape {
    /// Reads a text.
    ///
    /// # Errors
    /// The first line that is not as it must be, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current: Option<String> = None;
        let mut helped: Option<&str> = None;
        let mut seen = BTreeSet::new();
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let wrong = |why: &str| Err(format!("{why}: {line:?}"));
            if let Some(help) = line.strip_prefix("# HELP ") {
                let Some((name, words)) = help.split_once(' ') else {
                    return wrong("a help without words");
                };
                if words.trim().is_empty() || !is_name(name) {
                    return wrong("a help without words or a name");
                }
                helped = Some(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let Some((name, kind)) = kind.split_once(' ') else {
                    return wrong("a type without a kind");
                };
                if helped.take() != Some(name) {
                    return wrong("a type without its help before it");
                }
                if !["counter", "gauge", "histogram"].contains(&kind) {
                    return wrong("an unknown kind");
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return wrong("counters, and they alone, end with _total");
                }
                let family = Family {
                    kind: kind.to_owned(),
                    samples: Vec::new(),
                };
                if families.insert(name.to_owned(), family).is_some() {
                    return wrong("a family that was there before");
                }
                current = Some(name.to_owned());
            } else {
                let Some((name, labels, value)) = sample(line) else {
                    return wrong("no sample");
                };
                let Some((of, family)) = current.as_ref().and_then(|of| Some((of, families.get_mut(of)?)))
                else {
                    return wrong("a sample of no family");
                };
                let suffix = name.strip_prefix(of.as_str());
                let belongs = match family.kind.as_str() {
                    "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                    _ => suffix == Some(""),
                };
                if !belongs || helped.is_some() {
                    return wrong("a sample of another family");
                }
                if !seen.insert((name.clone(), labels.clone())) {
                    return wrong("a sample that was there before");
                }
                family.samples.push((name, labels, value));
            }
        }
        for (name, family) in &families {
            check(name, family)?;
        }
        Ok(Scrape(families))
    }

    /// The value of one sample, all of whose labels are named.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let all = |found: &Labels| found.len() == labels.len();
        self.matching(name, labels)
            .find(|(found, _)| all(found))
            .map(|(_, value)| value)
    }

    /// The sum of all samples that have these labels, whatever else they have.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|(_, value)| value).sum()
    }

    fn matching<'s>(
        &'s self,
        name: &'s str,
        labels: &'s [(&'s str, &'s str)],
    ) -> impl Iterator<Item = (&'s Labels, f64)> {
        self.0
            .values()
            .flat_map(|family| &family.samples)
            .filter(move |(found, has, _)| {
                found == name
                    && labels
                        .iter()
                        .all(|(name, value)| has.get(*name).is_some_and(|v| v == value))
            })
            .map(|(_, has, value)| (has, *value))
    }
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    for (sample, labels, value) in &family.samples {
        if family.kind != "gauge" && (*value < 0.0 || value.is_nan()) {
            return Err(format!("{sample} {labels:?} is {value}"));
        }
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let part = |suffix: &str, labels: &Labels| {
        let wanted = format!("{name}{suffix}");
        let found = family
            .samples
            .iter()
            .find(|(n, l, _)| *n == wanted && l == labels);
        found.map(|(_, _, value)| *value)
    };
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        match (sample.ends_with("_bucket"), labels.remove("le")) {
            (true, Some(bound)) => {
                let bound = number(&bound).ok_or_else(|| format!("{sample} has le={bound:?}"))?;
                series.entry(labels).or_default().push((bound, *value));
            }
            (false, None) => {}
            _ => return Err(format!("{sample} {labels:?}: le belongs to buckets")),
        }
    }
    for (labels, buckets) in series {
        let wrong = |why: &str| Err(format!("{name} {labels:?}: {why}: {buckets:?}"));
        if !buckets
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        {
            return wrong("bounds and counts must rise");
        }
        match buckets.last() {
            Some((bound, count)) if bound.is_infinite() && part("_count", &labels) == Some(*count) => {}
            _ => return wrong("the last bucket must be +Inf and the count"),
        }
        if part("_sum", &labels).is_none() {
            return wrong("there is no sum");
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    letters.next().is_some_and(begins) && letters.all(|c| begins(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || label.contains(':') || value.is_empty() {
                return None;
            }
            if labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            match after.split_at_checked(1)? {
                (",", after) => rest = after,
                ("}", after) => {
                    rest = after;
                    break;
                }
                _ => return None,
            }
        }
    }
    let value = number(rest.strip_prefix(' ')?)?;
    is_name(name).then(|| (name.to_owned(), labels, value))
}

/// The value up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTOGRAM: &str = "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n";

    #[test]
    fn what_is_right_is_read() {
        let text = format!(
            "# HELP a_total A.\n# TYPE a_total counter\na_total{{x=\"1\\\"\",y=\"b\"}} 7\na_total 1\n{HISTOGRAM}"
        );
        let scrape = Scrape::parse(&text).unwrap();
        assert_eq!(scrape.value("a_total", &[("x", "1\""), ("y", "b")]), Some(7.0));
        assert_eq!(scrape.value("a_total", &[]), Some(1.0));
        assert_eq!(scrape.sum("a_total", &[]), 8.0);
        assert_eq!(scrape.value("h_bucket", &[("le", "1")]), Some(1.0));
        assert_eq!(scrape.value("h_sum", &[("le", "1")]), None);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let gauge = "# HELP a A.\n# TYPE a gauge\n";
        for text in [
            "a 1\n".to_owned(),
            format!("{gauge}a 1"),
            format!("{gauge}b 1\n"),
            format!("{gauge}a 1\na 2\n"),
            format!("{gauge}a{{x=\"1}} 2\n"),
            format!("{gauge}a{{x=\"\"}} 2\n"),
            format!("{gauge}a{{x=\"1\",x=\"2\"}} 2\n"),
            format!("{gauge}a{{}} 2\n"),
            format!("{gauge}a  2\n"),
            format!("{gauge}a two\n"),
            format!("{gauge}\n"),
            format!("{gauge}{gauge}"),
            "# TYPE a gauge\na 1\n".to_owned(),
            "# HELP a A.\n# TYPE a counter\na 1\n".to_owned(),
            "# HELP a_total A.\n# TYPE a_total counter\na_total -1\n".to_owned(),
            HISTOGRAM.replace("h_sum 3.5\n", ""),
            HISTOGRAM.replace("h_count 2", "h_count 3"),
            HISTOGRAM.replace("+Inf", "2"),
            HISTOGRAM.replace("le=\"1\"} 1", "le=\"1\"} 3"),
        ] {
            assert!(Scrape::parse(&text).is_err(), "{text}");
        }
    }
}
