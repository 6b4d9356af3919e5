//! Dates and times of day, in the calendar that every database uses for all years.

use std::fmt;

/// A day of the years 1 to 9999, which is what every database and RFC 3339 have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) year: i32,
    pub(crate) month: u32,
    pub(crate) day: u32,
}

/// A time of day, without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) nanosecond: u32,
}

/// A day and a time of it, in whatever zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) date: Date,
    pub(crate) time: Time,
}

impl Date {
    /// Reads `2026-01-02`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let [b'-', b'-'] = [*text.as_bytes().get(4)?, *text.as_bytes().get(7)?] else {
            return None;
        };
        let (year, month) = (number(text.get(..4)?)?, number(text.get(5..7)?)?);
        let day = text.get(8..).filter(|day| day.len() == 2).and_then(number)?;
        Self { year: i32::try_from(year).ok()?, month, day }.checked()
    }

    /// This day, if there is such a day.
    pub(crate) fn checked(self) -> Option<Self> {
        let is_near = (1..=9999).contains(&self.year) && (1..=12).contains(&self.month);
        (is_near && Self::from_days(self.days()) == Some(self)).then_some(self)
    }

    /// The day that is so many days after 1970-01-01.
    pub(crate) fn from_days(days: i64) -> Option<Self> {
        // Counted from the first of March of the year 0, so that a leap day ends its year.
        let days = days.checked_add(EPOCH_DAYS).filter(|days| (0..=LAST_DAYS).contains(days))?;
        let (cycle, day) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
        let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = i32::try_from(cycle * 400 + year + next).ok()?;
        (1..=9999).contains(&year).then_some(())?;
        Some(Self { year, month: u32::try_from(month).ok()?, day: u32::try_from(day).ok()? })
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        cycle * CYCLE_DAYS + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - EPOCH_DAYS
    }
}

impl Time {
    /// Reads `03:04:05` with up to nine digits of a fraction.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (clock, fraction) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
        let [b':', b':'] = [*clock.as_bytes().get(2)?, *clock.as_bytes().get(5)?] else {
            return None;
        };
        let part = |part: Option<&str>| part.filter(|text| text.len() == 2).and_then(number);
        let nanosecond = match fraction {
            Some(digits) if (1..=9).contains(&digits.len()) => {
                number(digits)? * 10_u32.pow(9 - digits.len() as u32)
            }
            Some(_) => return None,
            None => 0,
        };
        let (hour, minute) = (part(clock.get(..2))?, part(clock.get(3..5))?);
        let second = part(clock.get(6..))?;
        Self { hour, minute, second, nanosecond }.checked()
    }

    /// This time, if a day has it.
    pub(crate) fn checked(self) -> Option<Self> {
        let Self { hour, minute, second, nanosecond } = self;
        let is_one = hour < 24 && minute < 60 && second < 60 && nanosecond < 1_000_000_000;
        is_one.then_some(self)
    }

    /// The time so many nanoseconds after midnight.
    pub(crate) fn from_nanoseconds(nanoseconds: i64) -> Option<Self> {
        let (seconds, nanosecond) = (nanoseconds / SECOND, nanoseconds % SECOND);
        let part = |part: i64| u32::try_from(part).ok();
        Self {
            hour: part(seconds / 3600)?,
            minute: part(seconds / 60 % 60)?,
            second: part(seconds % 60)?,
            nanosecond: part(nanosecond)?,
        }
        .checked()
    }

    /// Nanoseconds since midnight.
    pub(crate) fn nanoseconds(self) -> i64 {
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        i64::from(seconds) * SECOND + i64::from(self.nanosecond)
    }

    /// How many digits of a second it needs.
    pub(crate) fn fraction_digits(self) -> usize {
        let digits = format!("{:09}", self.nanosecond);
        digits.trim_end_matches('0').len()
    }
}

impl Moment {
    /// Reads a date, `T` or a space, and a time.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        Some(Self { date: Date::parse(date)?, time: Time::parse(time)? })
    }

    /// Reads a moment with its zone: `Z`, or hours and minutes as in `+01:30`. Answers it in UTC.
    pub(crate) fn parse_instant(text: &str) -> Option<Self> {
        if let Some(local) = text.strip_suffix(['Z', 'z']) {
            return Self::parse(local);
        }
        let (local, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let (sign, zone) = zone.split_at_checked(1)?;
        let sign = match sign {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let zone = Time::parse(&format!("{zone}:00"))?;
        let local = Self::parse(local)?;
        let days = 24 * 60 * 60 * SECOND;
        let time = local.time.nanoseconds() - sign * zone.nanoseconds();
        let date = Date::from_days(local.date.days() + time.div_euclid(days))?;
        Some(Self { date, time: Time::from_nanoseconds(time.rem_euclid(days))? })
    }

    /// The moment so many units after the beginning of 1970, of which a second has so many.
    pub(crate) fn since_1970(units: i64, per_second: i64) -> Option<Self> {
        let per_day = 24 * 60 * 60 * per_second;
        let date = Date::from_days(units.div_euclid(per_day))?;
        let time = Time::from_nanoseconds(units.rem_euclid(per_day) * (SECOND / per_second))?;
        Some(Self { date, time })
    }

    /// The same moment as RFC 3339 spells it, in UTC.
    pub(crate) fn instant(self) -> String {
        format!("{self}Z")
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The fraction is as long as it needs to be.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        match self.nanosecond {
            0 => Ok(()),
            some => write!(f, ".{}", format!("{some:09}").trim_end_matches('0')),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

const SECOND: i64 = 1_000_000_000;
/// The days of 400 years, after which the calendar repeats.
const CYCLE_DAYS: i64 = 146_097;
/// The days from the first of March of the year 0 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// The days from the first of March of the year 0 to 9999-12-31.
const LAST_DAYS: i64 = 25 * CYCLE_DAYS - 61;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_spelled_and_counted() {
        let mut previous = None;
        for days in
            Date::parse("0001-01-01").unwrap().days()..=Date::parse("9999-12-31").unwrap().days()
        {
            let date = Date::from_days(days).unwrap();
            assert_eq!((date.days(), date.checked()), (days, Some(date)));
            let is_next = |before: Date| match (date.month, date.day) {
                (1, 1) => (before.month, before.day, before.year + 1) == (12, 31, date.year),
                (_, 1) => before.month + 1 == date.month && before.day >= 28,
                _ => (before.month, before.day + 1) == (date.month, date.day),
            };
            assert!(previous.is_none_or(is_next), "{date}");
            previous = Some(date);
        }
        assert_eq!(Date::parse("1970-01-01").map(Date::days), Some(0));
        assert_eq!(Date::parse("2000-03-01").map(Date::days), Some(11_017));
        for days in [-719_163, 2_932_897, i64::MIN, i64::MAX] {
            assert_eq!(Date::from_days(days), None, "{days}");
        }
    }

    #[test]
    fn what_is_no_date_and_no_time_is_not_read() {
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "0000-01-01",
            "10000-01-01",
            "2026-1-02",
            "2026-01-2",
            "2026/01/02",
            "+026-01-02",
            "2026-01-02 ",
            "２026-01-02",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        for text in [
            "",
            "24:00:00",
            "23:60:00",
            "23:59:60",
            "1:02:03",
            "01:02",
            "01:02:03.",
            "01:02:03,5",
            "01:02:03.1234567890",
            "01:02:03.+1",
            "-1:02:03",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_spelled_in_utc() {
        for (text, spelled) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02 03:04:05.100z", "2026-01-02T03:04:05.1Z"),
            ("2026-01-01T23:30:00+01:30", "2026-01-01T22:00:00Z"),
            ("2026-01-01T00:30:00+01:30", "2025-12-31T23:00:00Z"),
            ("2024-02-28T23:30:00.000000001-00:30", "2024-02-29T00:00:00.000000001Z"),
        ] {
            assert_eq!(Moment::parse_instant(text).map(Moment::instant).as_deref(), Some(spelled));
        }
        for text in
            ["2026-01-02T03:04:05", "2026-01-02", "0001-01-01T00:00:00+01:00", "Z", "é", "é+01:00"]
        {
            assert_eq!(Moment::parse_instant(text), None, "{text}");
        }
        let moment = Moment::since_1970(-1, 1_000).map(Moment::instant);
        assert_eq!(moment.as_deref(), Some("1969-12-31T23:59:59.999Z"));
        assert_eq!(Moment::since_1970(i64::MAX, 1_000_000), None);
    }
}
