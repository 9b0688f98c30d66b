//! The options that both servers take, spelt as Java's.

use std::path::PathBuf;

use crate::config::{ConfigError, FromProperties, read_properties};

/// The options that both servers take.
#[derive(Debug, clap::Args)]
pub(super) struct ServerOptions {
    /// Name server address list, for example 192.168.0.1:9876;192.168.0.2:9876
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    pub(super) namesrv_addr: Option<String>,
    /// Java properties file to read the configuration from
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Print all config items and exit
    #[arg(short = 'p', long = "printConfigItem")]
    pub(super) print_config_item: bool,
}

impl ServerOptions {
    /// Reads the file named by `-c`, if there is one, and logs what it asks for in vain.
    pub(super) fn read_file(&self, config: &mut impl FromProperties) -> Result<(), ConfigError> {
        let Some(path) = &self.config_file else {
            return Ok(());
        };
        for warning in read_properties(config, path)? {
            tracing::warn!(file = %path.display(), "{warning}");
        }
        Ok(())
    }
}
