//! When a cron expression comes due: pure arithmetic of wall time in a time zone, for schedules and maintenance windows alike.
//!
//! Must not check expressions (that is `triggers`); one that can't be read names no time.

use jiff::Timestamp;

/// The next time a cron expression names after `after`. Over daylight saving it goes by the wall clock: a time that is skipped does
/// not come that day, one that is shown twice comes twice.
pub fn next(expression: &str, timezone: &str, after: Timestamp) -> Option<Timestamp> {
    let crontab = cronexpr::parse_crontab(&format!("{expression} {timezone}")).ok()?;
    crontab.find_next(after).ok().map(|zoned| zoned.timestamp())
}
