//! Warnings about a host's clock that is impossible or behind the log: at once, every ten minutes, and when it is over.
//!
//! Time never goes back in a log. If the clock was ahead once, the log's time goes on from the latest entry, at half the
//! pace and at most a second for each call, until the clock has caught up.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libvms::Vm;
use serde_json::json;
use tokio::time::Instant;

use crate::output::Output;

/// Interval at which the clock is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which a warning is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);
/// Milliseconds that the clock may be behind the log without a warning.
const BEHIND_MAX: u64 = 1_000;

/// A fault of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The clock is before 1970; calls are dated with the beginning of 1970.
    Before1970,
    /// The clock is after the latest date of JavaScript; calls are dated with that date.
    BeyondTime,
    /// The latest entry of a log is later than the clock, both in milliseconds since 1970.
    BehindLog { latest: u64, now: u64 },
}

/// Warns the operator for as long as the host runs.
pub(super) async fn watch(services: Vec<&Vm>, output: &Output) -> Infallible {
    let mut told: Option<(Fault, Instant)> = None;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        looks.tick().await;
        let latest = services.iter().map(|vm| vm.latest_at()).max().unwrap_or(0);
        let now = SystemTime::now();
        match (fault(now, latest), &told) {
            (None, None) => {}
            (None, Some(_)) => {
                tell_over(now, output);
                told = None;
            }
            (Some(fault), Some((before, at)))
                if is_same(fault, *before) && at.elapsed() < REPEAT_INTERVAL => {}
            (Some(fault), _) => {
                tell(fault, now, output);
                told = Some((fault, Instant::now()));
            }
        }
    }
}

fn fault(now: SystemTime, latest: u64) -> Option<Fault> {
    use libvms_protocol::limits::TIME_MAX;
    let Ok(since) = now.duration_since(UNIX_EPOCH) else { return Some(Fault::Before1970) };
    let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    if now > TIME_MAX {
        return Some(Fault::BeyondTime);
    }
    (latest > now.saturating_add(BEHIND_MAX)).then_some(Fault::BehindLog { latest, now })
}

fn is_same(one: Fault, other: Fault) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}

fn tell(fault: Fault, now: SystemTime, output: &Output) {
    if output.is_json() {
        let (latest, behind) = match fault {
            Fault::BehindLog { latest, now } => (json!(shown(latest)), json!((latest - now) / 1_000)),
            Fault::Before1970 | Fault::BeyondTime => (json!(null), json!(null)),
        };
        let kind = match fault {
            Fault::Before1970 => "before-1970",
            Fault::BeyondTime => "beyond-time",
            Fault::BehindLog { .. } => "behind-log",
        };
        output.event(&json!({
            "event": "clock", "fault": kind, "clock": shown_time(now), "latest": latest, "behindSeconds": behind,
        }));
        return;
    }
    output.message(&worded(fault, now));
}

fn worded(fault: Fault, now: SystemTime) -> String {
    let clock = shown_time(now);
    match fault {
        Fault::Before1970 => format!(
            "warning: this machine's clock shows {clock}: until it is set right, calls are dated 1970-01-01T00:00:00Z"
        ),
        Fault::BeyondTime => format!(
            "warning: this machine's clock shows {clock}, later than any date in JavaScript: set it now, because calls are \
             dated with the latest possible time, and time in a log never goes back"
        ),
        Fault::BehindLog { latest, now } => format!(
            "warning: this machine's clock shows {clock}, but the latest call in the log is dated {}, {} later: until the \
             clock has caught up, calls are dated from that time on, and Date.now() goes at half the pace",
            shown(latest),
            humantime::format_duration(Duration::from_secs((latest - now).div_ceil(1_000))),
        ),
    }
}

fn tell_over(now: SystemTime, output: &Output) {
    if output.is_json() {
        output.event(&json!({ "event": "clock", "fault": null, "clock": shown_time(now) }));
    } else {
        output.message(&format!(
            "this machine's clock shows {}: calls are dated with it again",
            shown_time(now)
        ));
    }
}

fn shown_time(time: SystemTime) -> String {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => shown(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        Err(before) => {
            let seconds = before.duration().as_secs();
            format!("{} before 1970", humantime::format_duration(Duration::from_secs(seconds)))
        }
    }
}

/// Returns milliseconds since 1970 as a date up to the year 9999, and as a number beyond.
fn shown(at: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(at)) {
        Some(time) if at < 253_402_300_800_000 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{at} ms after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_found() {
        const NOW: u64 = 1_700_000_000_000;
        assert_eq!(fault(at(NOW), 0), None);
        assert_eq!(fault(at(NOW), NOW + 1_000), None);
        assert_eq!(fault(at(NOW), NOW + 1_001), Some(Fault::BehindLog { latest: NOW + 1_001, now: NOW }));
        assert_eq!(fault(at(0), 1), None);
        assert_eq!(fault(UNIX_EPOCH - Duration::from_secs(1), 0), Some(Fault::Before1970));
        assert_eq!(fault(at(8_640_000_000_000_001), 0), Some(Fault::BeyondTime));
        assert!(fault(at(NOW), u64::MAX).is_some());
    }

    #[test]
    fn the_warning_has_both_times() {
        let late = Fault::BehindLog { latest: 3_800_000_000_000, now: 1_700_000_000_000 };
        let text = worded(late, at(1_700_000_000_000));
        assert!(text.contains("2023-11-14T22:13:20Z") && text.contains("2090-06-01T11:33:20Z"), "{text}");
        assert!(text.contains("66years"), "{text}");
        let text = worded(Fault::Before1970, UNIX_EPOCH - Duration::from_secs(3_600));
        assert!(text.contains("1h before 1970"), "{text}");
        let text = worded(Fault::BeyondTime, at(8_700_000_000_000_000));
        assert!(text.contains("8700000000000000 ms after 1970"), "{text}");
    }
}
