//! `mqtools CLASS`: runs a tool by its Java class name, as RocketMQ's `tools.sh`.

use std::process::ExitCode;

use rocketmq_tools::quickstart;

const USAGE: &str = "Usage: mqtools CLASS, with the name servers in NAMESRV_ADDR. Classes:
  org.apache.rocketmq.example.quickstart.Producer   (or: Producer)   sends 1000 messages to TopicTest
  org.apache.rocketmq.example.quickstart.Consumer   (or: Consumer)   prints the messages of TopicTest until Ctrl-C";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = match arguments.as_slice() {
        [name] => name.strip_prefix("org.apache.rocketmq.example.quickstart.").unwrap_or(name),
        _ => "",
    };
    let ran = match name {
        "Producer" => quickstart::producer().await,
        "Consumer" => quickstart::consumer().await,
        "-h" | "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mqtools: {error}");
            ExitCode::FAILURE
        }
    }
}
