//! The date in the head of HTTP answers (RFC 9110, section 5.6.7), for any clock.
//!
//! `hyper` writes one into each answer, and has no way to be kept from asking the clock. The crate that it uses panics where
//! the clock stands before 1970 or after 9999, so that every connection of a machine without a battery would be reset.
//! This one, which the workspace's manifest puts in its place, has the one type that `hyper` uses, and gives the nearest
//! date that can be written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The last second of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

/// A moment, to the second, as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate {
    /// Since the beginning of 1970.
    seconds: u64,
}

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().min(SECONDS_MAX) }
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds / 86_400, self.seconds % 86_400);
        let (year, day_of_year) = year(days);
        let (month, day) = month(day_of_year, is_leap(year));
        let weekday = DAYS.iter().cycle().nth((days % 7) as usize).copied().unwrap_or_default();
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(formatter, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

/// The year of a day since the beginning of 1970, and the day in that year, both from 0 on.
fn year(mut day: u64) -> (u64, u64) {
    let mut year = 1970;
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if day < days {
            return (year, day);
        }
        day -= days;
        year += 1;
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// The month of a day of the year, and the day in that month from 1 on.
fn month(mut day: u64, is_leap: bool) -> (&'static str, u64) {
    for (name, days) in MONTHS {
        let days = days + u64::from(is_leap && name == "Feb");
        if day < days {
            return (name, day + 1);
        }
        day -= days;
    }
    ("Dec", 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_written_as_http_has_them() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_704_067_199, "Sun, 31 Dec 2023 23:59:59 GMT"),
            (1_735_603_200, "Tue, 31 Dec 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (SECONDS_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(date.to_string(), expected);
        }
    }

    #[test]
    fn a_clock_beyond_all_dates_gives_the_nearest() {
        let before = UNIX_EPOCH - Duration::from_secs(1 << 40);
        assert_eq!(HttpDate::from(before).to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
        let after = UNIX_EPOCH + Duration::from_secs(SECONDS_MAX + 1);
        assert_eq!(HttpDate::from(after).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
