//! A configuration as a table of its settings.

use super::ConfigError;

/// One setting: what Java calls it, and how its text is read and written.
pub(crate) struct Setting<C> {
    /// The Java property.
    pub(super) key: &'static str,
    /// Sets the field; if the text is not valid, says what is allowed.
    pub(super) read: fn(&mut C, &str) -> Result<(), String>,
    /// The field as text.
    pub(super) print: fn(&C) -> String,
}

/// A configuration that has a table of settings.
pub(crate) trait Settings: Clone + 'static {
    /// All of its settings, in the order in which they are printed.
    const SETTINGS: &'static [Setting<Self>];
}

/// Declares the table: `"javaName" => field: Rule,`.
macro_rules! settings {
    ($config:ty { $($key:literal => $field:ident: $rule:expr,)* }) => {
        impl $crate::config::setting::Settings for $config {
            const SETTINGS: &'static [$crate::config::setting::Setting<Self>] = &[$(
                $crate::config::setting::Setting {
                    key: $key,
                    read: |config, text| {
                        config.$field = $crate::config::rule::read(&$rule, text)?;
                        Ok(())
                    },
                    print: |config| $crate::config::rule::Rule::print(&$rule, &config.$field),
                },
            )*];
        }
    };
}
pub(super) use settings;

/// Sets one property; `false` if the configuration has none of that name.
#[cfg(feature = "cli")]
pub(super) fn set<C: Settings>(config: &mut C, key: &str, text: &str) -> Result<bool, ConfigError> {
    match C::SETTINGS.iter().find(|setting| setting.key == key) {
        None => Ok(false),
        Some(setting) => {
            (setting.read)(config, text).map(|()| true).map_err(|allowed| bad(key, text, allowed))
        }
    }
}

/// Holds a configuration that a program put together against the limits that a properties file has to keep.
///
/// # Errors
/// The first value that is not allowed.
pub(crate) fn check<C: Settings>(config: &C) -> Result<(), ConfigError> {
    let mut scratch = config.clone();
    C::SETTINGS.iter().try_for_each(|setting| {
        let text = (setting.print)(config);
        (setting.read)(&mut scratch, &text).map_err(|allowed| bad(setting.key, &text, allowed))
    })
}

/// The whole configuration as lines of `key=value`.
#[cfg(feature = "cli")]
pub(crate) fn print<C: Settings>(config: &C) -> String {
    C::SETTINGS.iter().map(|setting| format!("{}={}\n", setting.key, (setting.print)(config))).collect()
}

fn bad(key: &str, value: &str, allowed: String) -> ConfigError {
    ConfigError::BadValue { key: key.to_owned(), value: value.to_owned(), allowed }
}
