//! Cookie dates, in UTC with English names whatever the locale (http-bridge §5.6).

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime};

/// Unix seconds for any of the accepted forms:
/// `Wed, 15 Nov 1995 06:25:24 GMT`, `Wed, 15-Nov-95 06:25:24 GMT`, `Wed Nov 15 06:25:24 1995`, with
/// a numeric zone of zero in place of `GMT`, or without any. Follows the algorithm of RFC 6265
/// 5.1.1, which finds the parts by their shape.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let delimiter = |byte: &u8| !(byte.is_ascii_alphanumeric() || *byte == b':' || *byte >= 0x80);
    for token in text.split(delimiter).filter(|token| !token.is_empty()) {
        let token = str::from_utf8(token).ok()?;
        if time.is_none()
            && let Some(found) = time_of_day(token)
        {
            time = Some(found);
        } else if let Some(number) = small_number(token) {
            match (day, year) {
                (None, _) if token.len() <= 2 => day = Some(u8::try_from(number).ok()?),
                (_, None) => year = Some(full_year(number, token.len())?),
                _ => {}
            }
        } else if month.is_none() {
            month = month_number(token);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
    let valid = hour <= 23 && minute <= 59 && second <= 60 && year >= 1601;
    let days = i64::from(date.to_julian_day() - EPOCH);
    valid.then(|| ((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// 1970-01-01 as a Julian day.
const EPOCH: i32 = OffsetDateTime::UNIX_EPOCH.date().to_julian_day();

fn time_of_day(token: &str) -> Option<(i64, i64, i64)> {
    let mut parts = token.split(':').map(|part| (part.len() <= 2).then(|| small_number(part))?);
    let time = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(time)
}

fn small_number(token: &str) -> Option<i64> {
    (token.len() <= 4 && token.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| token.parse().ok())?
}

fn full_year(number: i64, digits: usize) -> Option<i64> {
    match (digits, number) {
        (2, 0..=69) => Some(number + 2000),
        (2, _) => Some(number + 1900),
        (4, _) => Some(number),
        _ => None,
    }
}

fn month_number(token: &str) -> Option<Month> {
    let start = token.get(..3)?;
    let index = MONTHS.iter().position(|name| start.eq_ignore_ascii_case(name))?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

/// `Thu, 01 Jan 1970 00:00:00 +0000` (RFC 5322 3.3); that form has no years before 1900.
pub fn rfc5322(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc2822).ok()
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let cases = [
            ("Wed, 15 Nov 1995 06:25:24 GMT", Some(816_416_724)),
            ("Wed, 15-Nov-95 06:25:24 GMT", Some(816_416_724)),
            ("Wed Nov 15 06:25:24 1995", Some(816_416_724)),
            ("Wed, 15-Nov-1995 06:25:24 GMT", Some(816_416_724)),
            ("Wed, 15 Nov 1995 06:25:24 -0000", Some(816_416_724)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:59 GMT", Some(951_868_799)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("0", None),
            ("-1", None),
            ("", None),
            ("Wed, 30 Feb 2000 00:00:00 GMT", None),
            ("Wed, 15 Nov 1995 25:00:00 GMT", None),
            ("Wed, 15 Nov 1995", None),
            ("Wed, 15 Foo 1995 06:25:24 GMT", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        let printed = |seconds| rfc5322(seconds).unwrap_or_default();
        assert_eq!(printed(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(printed(816_416_724), "Wed, 15 Nov 1995 06:25:24 +0000");
        assert_eq!(printed(951_868_799), "Tue, 29 Feb 2000 23:59:59 +0000");
        assert_eq!(printed(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
        // From 1900 to 9999.
        for days in (-25_566..2_932_896).step_by(97) {
            let seconds = days * 86_400 + 3723;
            assert_eq!(parse(printed(seconds).as_bytes()), Some(seconds), "{days}");
        }
        assert_eq!(rfc5322(-25_568 * 86_400), None);
        assert_eq!(rfc5322(i64::MAX), None);
    }
}
