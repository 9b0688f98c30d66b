//! One scalar taken for another, as fastjson takes it.

/// The whole number that a text or a number stands for; `None` for anything else. What follows the point is dropped,
/// nothing at all is 0.
pub(crate) fn integer(text: &str) -> Option<i64> {
    match text {
        "" | "null" => return Some(0),
        "true" => return Some(1),
        "false" => return Some(0),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (number.abs() < 9.2e18).then_some(number as i64)
}

/// The truth value that a text or a number stands for.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "Y" | "T" => Some(true),
        "false" | "0" | "N" | "F" | "" | "null" => Some(false),
        _ => None,
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
