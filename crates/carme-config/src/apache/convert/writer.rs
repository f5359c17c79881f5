//! Keys and values as TOML has them.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use crate::paths;
use crate::problem::Place;
use crate::units::{ByteSize, DisplayDuration};

/// The text so far.
pub(super) struct Writer {
    pub(super) text: String,
    pub(super) base: std::path::PathBuf,
}

/// A string as TOML has it; with backslashes in it in single quotes, if that can be.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

pub(super) fn table(items: impl IntoIterator<Item = String>) -> String {
    match items.into_iter().collect::<Vec<_>>() {
        items if items.is_empty() => "{}".to_owned(),
        items => format!("{{ {} }}", items.join(", ")),
    }
}

pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    table(
        pairs
            .into_iter()
            .map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))),
    )
}

pub(super) fn time(time: Duration) -> String {
    quoted(&DisplayDuration(time).to_string())
}

pub(super) fn size(size: impl Display) -> String {
    quoted(&size.to_string())
}

/// Statuses as numbers, classes as `"4xx"`.
pub(super) fn status((first, last): (u16, u16)) -> String {
    match first == last {
        true => first.to_string(),
        false if first % 100 == 0 && last == first + 99 => format!("\"{}xx\"", first / 100),
        false => format!("\"{first}-{last}\""),
    }
}

pub(super) fn rotation(rotation: &carme_log::Rotation) -> String {
    let parts = [
        rotation
            .size
            .map(|bytes| format!("size = {}", size(ByteSize::bytes(bytes.get())))),
        rotation.every.map(|every| format!("every = {}", time(every))),
        rotation.keep.map(|keep| format!("keep = {keep}")),
    ];
    table(parts.into_iter().flatten())
}

impl Writer {
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn comment(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("# {line}"));
        }
    }

    /// A section, with the place that it comes from.
    pub(super) fn section(&mut self, title: &str, place: Option<&Place>) {
        self.line("");
        if let Some(place @ Place::File { .. }) = place {
            self.comment(&place.to_string());
        }
        self.line(title);
    }

    pub(super) fn key(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    /// A key where its value is not what it is anyway.
    pub(super) fn unless<T: PartialEq>(
        &mut self,
        key: &str,
        value: &T,
        usual: &T,
        show: impl FnOnce(&T) -> String,
    ) {
        if value != usual {
            self.key(key, show(value));
        }
    }

    pub(super) fn some<T>(&mut self, key: &str, value: Option<T>, show: impl FnOnce(T) -> String) {
        if let Some(value) = value {
            self.key(key, show(value));
        }
    }

    /// A path that means the same wherever the file is.
    pub(super) fn path(&self, text: &str) -> String {
        quoted(&paths::absolute(&self.base, text).display().to_string())
    }
}
