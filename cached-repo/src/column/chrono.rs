//! Dates and times of the crate `chrono`.

use ::chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

use super::{Column, ColumnError, spelled::read};
use crate::{
    record::Value,
    schema::Kind,
    spelling::{Date, Moment, Time},
};

macro_rules! spelled {
    ($($t:ty => $kind:ident, $spell:expr, $read:expr);* $(;)?) => {$(
        impl Column for $t {
            const KIND: Kind = Kind::$kind;
            const NULLABLE: bool = false;
            fn to_value(&self) -> Value<'_> {
                let spell: fn(&$t) -> String = $spell;
                Value::Text(spell(self).into())
            }
            fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
                read(Self::KIND, value, $read)
            }
        }
    )*};
}
// With a zone of its own an instant would come back in another one: only UTC is a column.
spelled! {
    DateTime<Utc> => Timestamp, |v| moment(&v.naive_utc()).instant(),
        |text| Some(from_moment(Moment::parse_instant(text)?)?.and_utc());
    NaiveDateTime => DateTime, |v| moment(v).to_string(),
        |text| from_moment(Moment::parse(text)?);
    NaiveDate => Date, |v| date(v).to_string(), |text| from_date(Date::parse(text)?);
    NaiveTime => Time, |v| time(v).to_string(), |text| from_time(Time::parse(text)?);
}

fn date(date: &NaiveDate) -> Date {
    Date { year: date.year(), month: date.month(), day: date.day() }
}

/// A leap second is spelled as the second 60, and refused.
fn time(time: &NaiveTime) -> Time {
    let leap = time.nanosecond() / 1_000_000_000;
    Time {
        hour: time.hour(),
        minute: time.minute(),
        second: time.second() + leap,
        nanosecond: time.nanosecond() % 1_000_000_000,
    }
}

fn moment(moment: &NaiveDateTime) -> Moment {
    Moment { date: date(&moment.date()), time: time(&moment.time()) }
}

fn from_date(Date { year, month, day }: Date) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

fn from_time(Time { hour, minute, second, nanosecond }: Time) -> Option<NaiveTime> {
    NaiveTime::from_hms_nano_opt(hour, minute, second, nanosecond)
}

fn from_moment(Moment { date, time }: Moment) -> Option<NaiveDateTime> {
    Some(from_date(date)?.and_time(from_time(time)?))
}
