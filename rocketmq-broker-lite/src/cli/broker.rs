//! The program `mqbroker`.

use std::process::ExitCode;

use clap::Parser;

use super::options::ServerOptions;
use super::{Failure, StopSignals, run, say};
use crate::broker::Broker;
use crate::config::{self, BrokerConfig};

/// A RocketMQ broker.
#[derive(Debug, Parser)]
#[command(name = "mqbroker")]
struct Options {
    #[command(flatten)]
    server: ServerOptions,
    /// Print important config items and exit; here the same as -p
    #[arg(short = 'm', long = "printImportantConfig")]
    print_important_config: bool,
}

/// Runs `mqbroker` with this process's arguments until SIGTERM or SIGINT.
#[must_use]
pub fn mqbroker() -> ExitCode {
    let options = Options::parse();
    run("mqbroker", || serve(options))
}

async fn serve(options: Options) -> Result<(), Failure> {
    let mut config = BrokerConfig::standalone();
    options.server.read_file(&mut config)?;
    if let Some(addresses) = options.server.namesrv_addr {
        config.namesrv_addr = addresses;
    }
    config::check(&config)?;
    if options.server.print_config_item || options.print_important_config {
        say(&config::print(&config));
        return Ok(());
    }
    let mut stop = StopSignals::catch()?;
    let broker = Broker::start(config.clone()).await?;
    say(&boot_success(&config, &config.advertised_addr(broker.addr())));
    stop.wait().await;
    broker.close().await.map_err(|error| format!("the store could not be closed in order: {error}"))?;
    Ok(())
}

/// Java's line.
fn boot_success(config: &BrokerConfig, addr: &str) -> String {
    let mut line = format!("The broker[{}, {addr}] boot success. serializeType=JSON", config.broker_name);
    if !config.namesrv_addr.is_empty() {
        line.push_str(" and name server is ");
        line.push_str(&config.namesrv_addr);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_success_line_is_javas() {
        let mut config = BrokerConfig { broker_name: "broker-a".into(), ..BrokerConfig::default() };
        assert_eq!(
            boot_success(&config, "10.0.0.1:10911"),
            "The broker[broker-a, 10.0.0.1:10911] boot success. serializeType=JSON\n"
        );
        config.namesrv_addr = "a:9876;b:9876".into();
        assert_eq!(
            boot_success(&config, "10.0.0.1:10911"),
            "The broker[broker-a, 10.0.0.1:10911] boot success. serializeType=JSON and name server is a:9876;b:9876\n"
        );
    }
}
