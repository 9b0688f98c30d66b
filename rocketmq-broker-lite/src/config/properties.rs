//! Reading a Java properties file into a configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::property_keys::{self, Fate};
use super::setting::{Settings, set};
use super::{BrokerConfig, ConfigError, NamesrvConfig};

/// A configuration that a properties file can be read into.
pub(crate) trait FromProperties: Settings {
    /// What is to be done with a property that is no setting; `None` for one that is not known.
    fn fate(key: &str) -> Option<Fate>;

    /// Takes the properties whose meaning depends on other settings, once these are set.
    ///
    /// # Errors
    /// A value that cannot be kept.
    fn take_dependent(&self, properties: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
        let _ = properties;
        Ok(())
    }
}

impl FromProperties for NamesrvConfig {
    fn fate(key: &str) -> Option<Fate> {
        property_keys::namesrv(key)
    }
}

impl FromProperties for BrokerConfig {
    fn fate(key: &str) -> Option<Fate> {
        property_keys::broker(key)
    }

    /// The log is always in `commitlog` below the store's directory.
    fn take_dependent(&self, properties: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
        let key = "storePathCommitLog";
        let expected = self.store_path_root_dir.join("commitlog");
        match properties.remove(key) {
            Some(value) if !value.is_empty() && Path::new(&value) != expected => {
                let why = format!("the commit log is always in {}", expected.display());
                Err(ConfigError::NotSupported { key: key.to_owned(), value, why })
            }
            _ => Ok(()),
        }
    }
}

/// Reads a file's properties into `config`. Returns warnings about what it asks for in vain.
///
/// # Errors
/// A file that cannot be read, a value that is not allowed or that cannot be kept.
pub(crate) fn read_properties<C: FromProperties>(
    config: &mut C,
    path: &Path,
) -> Result<Vec<String>, ConfigError> {
    let mut properties = read_file(path)?;
    let mut others = BTreeMap::new();
    while let Some((key, value)) = properties.pop_first() {
        if !set(config, &key, &value)? {
            others.insert(key, value);
        }
    }
    config.take_dependent(&mut others)?;
    judge::<C>(others)
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(|error| unreadable(error.into()))?;
    let mut properties = BTreeMap::new();
    java_properties::PropertiesIter::new(std::io::BufReader::new(file))
        .read_into(|key, value| {
            properties.insert(key, value.trim().to_owned());
        })
        .map_err(|error| unreadable(error.into()))?;
    Ok(properties)
}

/// Refuses what cannot be kept among the properties that are no settings, and warns of what has no effect.
fn judge<C: FromProperties>(properties: BTreeMap<String, String>) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    let mut unknown = Vec::new();
    for (key, value) in properties {
        let lower = value.to_ascii_lowercase();
        match C::fate(&key) {
            Some(Fate::PassOver) => {}
            Some(Fate::Only(allowed, _)) if allowed.contains(&lower.as_str()) => {}
            Some(Fate::Only(_, why)) => {
                return Err(ConfigError::NotSupported { key, value, why: why.to_owned() });
            }
            Some(Fate::Missing(default, _)) if lower == default => {}
            Some(Fate::Missing(_, what)) => warnings.push(format!("{key}={value}: {what}")),
            None => unknown.push(key),
        }
    }
    if !unknown.is_empty() {
        warnings.push(format!("these properties are not known and have no effect: {}", unknown.join(", ")));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    use crate::FlushDiskType;

    fn read<C: FromProperties>(mut config: C, text: &str) -> Result<(C, Vec<String>), ConfigError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let warnings = read_properties(&mut config, file.path())?;
        Ok((config, warnings))
    }

    fn broker(text: &str) -> Result<(BrokerConfig, Vec<String>), ConfigError> {
        read(BrokerConfig::standalone(), text)
    }

    /// The file that `interop/real-rocketmq/up` writes for the Java broker.
    #[test]
    fn the_real_brokers_configuration_loads() {
        let text = "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\n\
            brokerIP2=127.0.0.1\nlistenPort=20012\nnamesrvAddr=127.0.0.1:20000\nstorePathRootDir=/data/broker-a/store\n\
            storePathCommitLog=/data/broker-a/store/commitlog\nautoCreateTopicEnable=true\n\
            autoCreateSubscriptionGroup=true\nenablePropertyFilter=true\nflushDiskType=SYNC_FLUSH\ndeleteWhen=04\n\
            fileReservedTime=48\ndiskMaxUsedSpaceRatio=97\nbrokerRole=ASYNC_MASTER\n\
            mappedFileSizeCommitLog=67108864\n";
        let (config, warnings) = broker(text).unwrap();
        assert_eq!((config.broker_name.as_str(), config.listen_port), ("broker-a", 20_012));
        assert_eq!(config.broker_ip1.as_deref(), Some("127.0.0.1"));
        assert_eq!(config.flush_disk_type, FlushDiskType::SyncFlush);
        assert_eq!(config.mapped_file_size_commit_log, 64 << 20);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("enablePropertyFilter=true: SQL92"), "{warnings:?}");
    }

    #[test]
    fn the_real_name_servers_configuration_loads() {
        let (config, warnings) =
            read(NamesrvConfig::standalone(), "listenPort=20000\nkvConfigPath=/data/namesrv/kvConfig.json\n")
                .unwrap();
        assert_eq!((config.listen_port, warnings), (20_000, Vec::new()));
    }

    #[test]
    fn javas_syntax_is_read() {
        let (config, _) =
            broker("# comment\nbrokerName = broker-a  \nmessageDelayLevel: 1s \\\n  5s\n").unwrap();
        assert_eq!((config.broker_name.as_str(), config.message_delay_level.as_str()), ("broker-a", "1s 5s"));
    }

    #[test]
    fn errors_name_the_key_the_value_and_what_is_allowed() {
        let error = |text| broker(text).unwrap_err().to_string();
        assert_eq!(
            error("listenPort=65536"),
            "listenPort=65536 is not valid: allowed is a whole number from 0 to 65535"
        );
        assert_eq!(error("traceOn=yes"), "traceOn=yes is not valid: allowed is true or false");
        assert_eq!(
            error("flushDiskType=FSYNC"),
            "flushDiskType=FSYNC is not valid: allowed is ASYNC_FLUSH or SYNC_FLUSH"
        );
        for text in [
            "brokerName=",
            "brokerId=1",
            "namesrvAddr=127.0.0.1",
            "namesrvAddr=::1:9876",
            "messageDelayLevel=1x",
        ] {
            let error = error(text);
            assert!(error.starts_with(&format!("{text} is not valid: allowed is ")), "{error}");
        }
    }

    #[test]
    fn what_would_be_a_lie_is_refused_and_what_has_no_effect_is_named() {
        for text in [
            "brokerRole=SLAVE",
            "brokerRole=SYNC_MASTER",
            "enableDLegerCommitLog=true",
            "aclEnable=true",
            "storePathCommitLog=/x",
        ] {
            let error = broker(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text} is not supported: ")), "{error}");
        }
        let (_, warnings) =
            broker("transientStorePoolEnable=true\naclEnable=false\nlistenPrt=1\nfoo=2").unwrap();
        assert_eq!(warnings, ["these properties are not known and have no effect: foo, listenPrt"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_properties(&mut NamesrvConfig::default(), Path::new("/no/such/file")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /no/such/file: "), "{error}");
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let config = BrokerConfig {
            register_name_server_period: Duration::from_secs(12),
            ..BrokerConfig::standalone()
        };
        let printed = super::super::print(&config);
        let (again, warnings) = broker(&printed).unwrap();
        assert_eq!((super::super::print(&again), warnings), (printed, Vec::new()));
    }
}
