//! One scalar taken for another, as fastjson takes it.

/// The whole number that a scalar stands for; `None` if it stands for none. What follows the point is dropped, and no
/// value at all is 0.
pub(crate) fn integer(text: &str) -> Option<i64> {
    match text {
        "" | "null" | "undefined" | "NaN" => return Some(0),
        "true" => return Some(1),
        "false" => return Some(0),
        _ => {}
    }
    let plain = text.replace(',', "");
    match plain.parse::<i64>() {
        Ok(number) => Some(number),
        Err(_) => truncated(&plain),
    }
}

/// The whole number in a text: of a fraction only zeros are taken.
pub(crate) fn quoted_integer(text: &str) -> Option<i64> {
    match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => integer(whole),
        Some(_) => None,
        None => integer(text),
    }
}

fn truncated(text: &str) -> Option<i64> {
    // `1.5e3`, but neither `inf` nor `nan`.
    let number: f64 =
        text.parse().ok().filter(|_| text.ends_with(|last: char| last.is_ascii_digit() || last == '.'))?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (number.abs() < 9.2e18).then_some(number as i64)
}

/// A number without the letter that says how wide it is: `1L`.
pub(crate) fn without_suffix(number: &str) -> &str {
    number.strip_suffix(['L', 'S', 'B', 'F', 'D']).unwrap_or(number)
}

/// The truth value that a scalar stands for: of numbers, 1 alone is true.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "Y" | "T" => Some(true),
        "N" | "F" | "" | "null" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => integer(text).map(|number| number == 1),
    }
}

/// A longer name is meant for no field.
const MAX_NAME_BYTES: usize = 64;

/// True if a member's name is meant for a field: letters of either case, and neither `_` nor `-` counts.
pub(crate) fn same_name(name: &str, field: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = u8> {
        text.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase())
    }
    name.len() <= MAX_NAME_BYTES && letters(name).eq(letters(field))
}
