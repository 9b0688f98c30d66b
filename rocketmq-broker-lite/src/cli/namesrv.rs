//! The program `mqnamesrv`.

use std::process::ExitCode;

use clap::Parser;

use super::options::ServerOptions;
use super::{Failure, StopSignals, run, say};
use crate::config::{self, NamesrvConfig};
use crate::nameserver::NameServer;

/// A RocketMQ name server.
#[derive(Debug, Parser)]
#[command(name = "mqnamesrv")]
struct Options {
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs `mqnamesrv` with this process's arguments until SIGTERM or SIGINT.
#[must_use]
pub fn mqnamesrv() -> ExitCode {
    let options = Options::parse();
    run("mqnamesrv", || serve(options.server))
}

async fn serve(options: ServerOptions) -> Result<(), Failure> {
    let mut config = NamesrvConfig::standalone();
    options.read_file(&mut config)?;
    if options.print_config_item {
        say(&config::print(&config));
        return Ok(());
    }
    let mut stop = StopSignals::catch()?;
    let namesrv = NameServer::start(config).await?;
    say("The Name Server boot success. serializeType=JSON\n");
    stop.wait().await;
    namesrv.shutdown().await;
    Ok(())
}
