//! Dates where a number is wanted, as fastjson takes them.

const MILLIS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// `2024-01-31` or `2024-01-31 23:59:59` as milliseconds since 1970, in UTC (fastjson: in the zone of the machine).
pub(super) fn millis(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_real =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    is_real.then(|| days(year, month, day) * MILLIS_A_DAY + ((hour * 60 + minute) * 60 + second) * 1000)
}

/// Three numbers of that many digits.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970. Years are counted from March on, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE_1970: i64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (153 * month + 2) / 5 + day - 1 - BEFORE_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_moments() {
        assert_eq!(millis("1970-01-01"), Some(0));
        assert_eq!(millis("1970-01-02 00:00:01"), Some(MILLIS_A_DAY + 1000));
        assert_eq!(millis("2024-01-01 00:00:00"), Some(1_704_067_200_000));
        assert_eq!(millis("2000-02-29"), Some(951_782_400_000));
        for text in
            ["", "2024", "2024-1-1", "2024-13-01", "2024-01-01 25:00:00", "2024-01-01-01", "x024-01-01"]
        {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
