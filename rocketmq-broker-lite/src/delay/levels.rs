//! What the delay levels mean (`messageDelayLevel`).

/// Java's levels.
pub(crate) const DEFAULT_DELAY_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

/// The delay of each level; the first level is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelayLevels {
    delays_ms: Vec<i64>,
}

/// Why a text is no list of delay levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a delay: a whole number and one of s, m, h, d")]
pub(crate) struct DelayLevelsError(String);

impl DelayLevels {
    /// Reads levels as in the broker's configuration: `1s 5s 1m 2h 1d`, separated by spaces.
    ///
    /// # Errors
    /// The first entry that is not a whole number and one of `s`, `m`, `h`, `d`.
    pub(crate) fn parse(text: &str) -> Result<Self, DelayLevelsError> {
        let delays = text
            .split_whitespace()
            .map(|entry| delay_ms(entry).ok_or_else(|| DelayLevelsError(entry.to_owned())));
        Ok(Self { delays_ms: delays.collect::<Result<_, _>>()? })
    }

    /// How many levels there are.
    pub(crate) fn count(&self) -> usize {
        self.delays_ms.len()
    }

    /// The delay of a level in milliseconds; `None` for levels below 1 or above the highest.
    pub(crate) fn delay_ms(&self, level: i32) -> Option<i64> {
        let index = usize::try_from(level).ok()?.checked_sub(1)?;
        self.delays_ms.get(index).copied()
    }
}

impl Default for DelayLevels {
    fn default() -> Self {
        Self::parse(DEFAULT_DELAY_LEVELS).expect("the default levels are well formed")
    }
}

fn delay_ms(entry: &str) -> Option<i64> {
    let unit_ms = match entry.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let number: u32 = entry[..entry.len() - 1].parse().ok()?;
    Some(i64::from(number) * unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_eighteen_levels() {
        let levels = DelayLevels::default();
        assert_eq!(levels.count(), 18);
        assert_eq!(levels.delay_ms(1), Some(1_000));
        assert_eq!(levels.delay_ms(18), Some(7_200_000));
        assert_eq!((levels.delay_ms(0), levels.delay_ms(19), levels.delay_ms(-1)), (None, None, None));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for wrong in ["1x", "s", "-1s", "1.5s", "5é"] {
            let error = DelayLevels::parse(&format!("1s {wrong}")).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
