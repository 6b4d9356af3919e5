//! Dates and times of the crate `time`.

use ::time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcDateTime, UtcOffset};

use super::{Column, ColumnError, spelled::read};
use crate::{record::Value, schema::Kind, spelling};

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
spelled! {
    UtcDateTime => Timestamp, |v| moment(v.date(), v.time()).instant(),
        |text| Some(from_instant(text)?.as_utc());
    // The same instant comes back, in UTC.
    OffsetDateTime => Timestamp, |v| {
            let utc = v.to_offset(UtcOffset::UTC);
            moment(utc.date(), utc.time()).instant()
        },
        |text| Some(from_instant(text)?.assume_utc());
    PrimitiveDateTime => DateTime, |v| moment(v.date(), v.time()).to_string(),
        |text| from_moment(spelling::Moment::parse(text)?);
    Date => Date, |v| date(*v).to_string(), |text| from_date(spelling::Date::parse(text)?);
    Time => Time, |v| time(*v).to_string(), |text| from_time(spelling::Time::parse(text)?);
}

fn date(date: Date) -> spelling::Date {
    let (year, month, day) = date.to_calendar_date();
    spelling::Date { year, month: u8::from(month).into(), day: day.into() }
}

fn time(time: Time) -> spelling::Time {
    let (hour, minute, second, nanosecond) = time.as_hms_nano();
    spelling::Time { hour: hour.into(), minute: minute.into(), second: second.into(), nanosecond }
}

fn moment(day: Date, of_day: Time) -> spelling::Moment {
    spelling::Moment { date: date(day), time: time(of_day) }
}

fn from_date(spelling::Date { year, month, day }: spelling::Date) -> Option<Date> {
    let month = u8::try_from(month).ok()?.try_into().ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

fn from_time(time: spelling::Time) -> Option<Time> {
    let part = |part: u32| u8::try_from(part).ok();
    let (hour, minute, second) = (part(time.hour)?, part(time.minute)?, part(time.second)?);
    Time::from_hms_nano(hour, minute, second, time.nanosecond).ok()
}

fn from_moment(spelling::Moment { date, time }: spelling::Moment) -> Option<PrimitiveDateTime> {
    Some(PrimitiveDateTime::new(from_date(date)?, from_time(time)?))
}

fn from_instant(text: &str) -> Option<PrimitiveDateTime> {
    from_moment(spelling::Moment::parse_instant(text)?)
}
