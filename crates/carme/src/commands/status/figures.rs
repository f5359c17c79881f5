//! Figures as people read them.

/// A time that has passed: its two greatest units.
pub(super) fn span(seconds: f64) -> String {
    // A time beyond all bounds is shown as the longest.
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// An amount of memory.
pub(super) fn memory(bytes: u64) -> String {
    const MEBIBYTE: f64 = 1_048_576.0;
    let mebibytes = bytes as f64 / MEBIBYTE;
    if mebibytes >= 10_240.0 {
        format!("{:.1} GiB", mebibytes / 1024.0)
    } else {
        format!("{mebibytes:.0} MiB")
    }
}

/// An amount of data.
pub(super) fn data(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if amount < 10.0 => format!("{amount:.1} {}", UNITS[unit]),
        _ => format!("{amount:.0} {}", UNITS[unit]),
    }
}

/// A value, or a dash where there is none.
pub(super) fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number of things.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, shown) in [
            (-1.0, "0s"),
            (0.9, "0s"),
            (59.0, "59s"),
            (60.0, "1m 0s"),
            (3_599.0, "59m 59s"),
            (3_600.0, "1h 0m"),
            (86_399.0, "23h 59m"),
            (90_000.0, "1d 1h"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn amounts() {
        assert_eq!(memory(0), "0 MiB");
        assert_eq!(memory(45 << 20), "45 MiB");
        assert_eq!(memory(12 << 30), "12.0 GiB");
        assert_eq!(data(1023), "1023 B");
        assert_eq!(data(1536), "1.5 KiB");
        assert_eq!(data(45 << 20), "45 MiB");
        assert_eq!(data(u64::MAX), "16777216 TiB");
        assert_eq!(counted(1, "connection", "connections"), "1 connection");
        assert_eq!(counted(0, "connection", "connections"), "0 connections");
    }
}
