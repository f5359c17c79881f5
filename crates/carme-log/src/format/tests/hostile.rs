//! Whatever a client sends, a line stays one line of printable ASCII, and its quotes stay the format's.

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use super::Lists;
use crate::{Format, Record, RequestLine};

/// Every directive that prints something a client or an application chose.
const CHOSEN: &str = r#""%r" "%m" "%U" "%q" "%u" "%V" "%{x}i" "%{x}o" "%{x}C" "%{x}e" "%{x}n" "%{set-cookie}o" "%{content-type}o""#;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        // Denser in what has a meaning.
        vec(prop::sample::select(&b"\"\\%?/:@#;=2\r\n\0 x"[..]), 0..40),
    ]
}

proptest! {
    #[test]
    fn no_value_leaves_its_quotes(values in vec(bytes(), 9), malformed: bool, looked_up: bool) {
        let lists = Lists {
            request: vec![("x", values[0].clone()), ("x", values[1].clone()), ("cookie", values[2].clone())],
            response: vec![
                ("x", values[3].clone()), ("set-cookie", values[4].clone()), ("content-type", values[5].clone()),
            ],
            variables: vec![("x", values[6].clone())],
            notes: vec![("x", values[7].clone())],
            ..Lists::default()
        };
        let request_line = match malformed {
            true => RequestLine::Malformed(&values[8]),
            false => RequestLine::Parsed { method: &values[7], target: &values[8], protocol: "HTTP/1.1" },
        };
        let record = Record {
            request_line,
            path: looked_up.then_some(&*values[6]),
            user: Some(&values[0]).filter(|user| !user.is_empty()).map(|user| &**user),
            host: Some(&values[1]),
            fields: &lists,
            ..Record::default()
        };
        let mut line = Vec::new();
        Format::parse(CHOSEN).unwrap().render(&record, &mut line);
        prop_assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let (mut quotes, mut backslash) = (0, false);
        for byte in line {
            quotes += usize::from(byte == b'"' && !backslash);
            backslash = byte == b'\\' && !backslash;
        }
        prop_assert_eq!(quotes, CHOSEN.matches('"').count());
    }

    #[test]
    fn any_text_is_a_format_or_an_error(format in "(?s).{0,40}") {
        check(&format)?;
    }

    #[test]
    fn any_directive_is_a_format_or_an_error(format in "([%<>!,{}0-9^:a-zA-Zé\\\\\"-]{1,6}|%\\{[%a-zA-Z_:-]{0,9}\\}[a-zA-Z]){1,5}") {
        check(&format)?;
    }

    #[test]
    fn any_time_prints(seconds in any::<u32>(), before: bool, huge: bool, duration: u64) {
        let span = Duration::from_secs(if huge { u64::from(seconds) << 24 } else { u64::from(seconds) });
        let start = if before { SystemTime::UNIX_EPOCH.checked_sub(span) } else { SystemTime::UNIX_EPOCH.checked_add(span) };
        let Some(start) = start else { return Ok(()) };
        let record = Record { start, duration: Duration::from_micros(duration), ..Record::default() };
        let mut line = Vec::new();
        let format = "%t %{end}t %{usec}t %{end:msec_frac}t %{%c %G %V %U %W %s %y %C %z %Z}t %D %T";
        Format::parse(format).unwrap().render(&record, &mut line);
        prop_assert!(line.starts_with(b"["));
    }
}

/// Neither parsing nor rendering panics, and an error points into the text.
fn check(format: &str) -> Result<(), TestCaseError> {
    match Format::parse(format) {
        Ok(compiled) => compiled.render(&Record::default(), &mut Vec::new()),
        Err(error) => {
            prop_assert!(error.column >= 1 && error.column <= format.chars().count().max(1));
            prop_assert!(
                format
                    .chars()
                    .skip(error.column - 1)
                    .collect::<String>()
                    .starts_with(&error.directive)
            );
        }
    }
    Ok(())
}
