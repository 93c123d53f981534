//! Cookie dates, in UTC with English names whatever the locale (http-bridge §5.6).

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
                (None, _) if token.len() <= 2 => day = Some(number),
                (_, None) => year = Some(full_year(number, token.len())?),
                _ => {}
            }
        } else if month.is_none() {
            month = month_number(token);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let valid = (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60
        && year >= 1601;
    valid.then(|| ((days_from_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

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

fn month_number(token: &str) -> Option<i64> {
    let start = token.get(..3)?;
    let index = MONTHS.iter().position(|name| start.eq_ignore_ascii_case(name))?;
    i64::try_from(index + 1).ok()
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `Thu, 01 Jan 1970 00:00:00 +0000` (RFC 5322 3.3).
pub fn rfc5322(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days, counted from 0000-03-01 in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let name = MONTHS[month as usize];
    format!("{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days since 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the
/// leap day is their last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469
}

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
        assert_eq!(rfc5322(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(816_416_724), "Wed, 15 Nov 1995 06:25:24 +0000");
        assert_eq!(rfc5322(951_868_799), "Tue, 29 Feb 2000 23:59:59 +0000");
        assert_eq!(rfc5322(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
        for days in (-200_000..800_000).step_by(97) {
            let seconds = days * 86_400 + 3723;
            if days > -134_000 && days < 2_932_896 {
                assert_eq!(parse(rfc5322(seconds).as_bytes()), Some(seconds), "{days}");
            }
        }
    }
}
