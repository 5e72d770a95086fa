//! Day time: an hour and minute of the day, wherever that day is.

use std::fmt;
use std::str::FromStr;

/// An hour and minute of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayTime {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// A text that is no hour of the day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no hour of the day")]
pub struct NotAnHour(pub String);

// === impl DayTime ===

/// Reads `"09:00"`.
impl FromStr for DayTime {
    type Err = NotAnHour;

    fn from_str(text: &str) -> Result<Self, NotAnHour> {
        let digits =
            |part: &str| part.parse::<u8>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        let parts = text.trim().split_once(':');
        match parts.and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?))) {
            Some((hour @ 0..=23, minute @ 0..=59)) => Ok(Self { hour, minute }),
            _ => Err(NotAnHour(text.to_owned())),
        }
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_read_as_it_is_written() {
        for text in ["00:00", "07:30", "23:59"] {
            assert_eq!(text.parse::<DayTime>().unwrap().to_string(), text);
        }
        assert_eq!("7:05".parse(), Ok(DayTime { hour: 7, minute: 5 }));
        for text in ["", "24:00", "12", "12:60", "-1:00", "12:00:00", "+1:00", "noon"] {
            assert!(text.parse::<DayTime>().is_err(), "{text}");
        }
    }
}
