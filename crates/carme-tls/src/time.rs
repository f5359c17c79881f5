//! Moments in certificates.

use std::time::{Duration, SystemTime};

use x509_parser::time::ASN1Time;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

pub(crate) fn moment(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
        _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
    };
    // Windows' clock begins in 1601.
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `Nov 24 16:33:20 2026 GMT`, as OpenSSL prints it.
pub(crate) fn openssl(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{} {:>2} {:02}:{:02}:{:02} {} GMT",
        MONTHS[usize::from(u8::from(time.month())) - 1],
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.year()
    )
}

/// `2026-11-24`, in UTC.
pub fn date(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    match ASN1Time::from_timestamp(seconds) {
        Ok(time) => {
            let time = time.to_datetime();
            format!(
                "{:04}-{:02}-{:02}",
                time.year(),
                u8::from(time.month()),
                time.day()
            )
        }
        Err(_) => "a day beyond the calendar".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_openssl_times() {
        for (seconds, day, text) in [
            (0, "1970-01-01", "Jan  1 00:00:00 1970 GMT"),
            (1_795_451_600, "2026-11-23", "Nov 23 16:33:20 2026 GMT"),
            (4_102_444_799, "2099-12-31", "Dec 31 23:59:59 2099 GMT"),
        ] {
            let time = ASN1Time::from_timestamp(seconds).expect("a time");
            assert_eq!(openssl(time), text);
            assert_eq!(date(moment(time)), day);
        }
        assert_eq!(
            date(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
            "1969-12-31"
        );
    }
}
