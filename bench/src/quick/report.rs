//! The comparison, for people.

use std::fmt;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::alone::Alone;
use super::contest::{Broker, CONTENDERS, Client};
use super::workload::{self, Floor, Workload};
use super::{QuickOptions, Session};
use crate::Json;
use crate::table::{Table, median, number, number_or_dash};

/// What it was measured on.
pub(super) fn machine() -> Value {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    json!({
        "commit": commit(),
        "unix_time": seconds.map_or(0, |since| since.as_secs()),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load_average": read("/proc/loadavg"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "debug_build": cfg!(debug_assertions),
    })
}

fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]);
    let told = git.output().ok().filter(|output| output.status.success());
    told.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Prints as Markdown.
pub(super) struct Report<'a> {
    pub(super) machine: &'a Value,
    pub(super) alone: &'a Alone,
    pub(super) session: &'a Session,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for workload in workload::all() {
            self.workload(f, &workload)?;
        }
        self.floors(f)?;
        self.start_and_footprint(f)?;
        self.targets(f)
    }
}

impl Report<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuickOptions { rounds, seconds, warmup, java_warmup, java_version, real_version, .. } =
            &self.session.options;
        let Value::Object(machine) = self.machine else { return Ok(()) };
        writeln!(f, "# Java client {java_version} and ours, on broker {real_version} and on broker-lite\n")?;
        let facts: Vec<String> = machine.iter().map(|(key, value)| format!("{key} {value}")).collect();
        writeln!(f, "- {}", facts.join(", "))?;
        writeln!(
            f,
            "- {rounds} rounds by turns, {seconds} s each after {java_warmup} s (Java) or {warmup} s (ours)"
        )?;
        writeln!(
            f,
            "- rates are median (min..max), all else medians; CPU is of the counted time only; \"x\" is the rate"
        )?;
        writeln!(f, "  as a multiple of the Java client's on the real broker")?;
        if cfg!(debug_assertions) {
            writeln!(f, "- THIS IS A DEBUG BUILD: its figures mean nothing")?;
        }
        for note in &self.session.notes {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }

    fn workload(&self, f: &mut fmt::Formatter<'_>, workload: &Workload) -> fmt::Result {
        if !self.session.runs.iter().any(|run| run.workload == workload.name) {
            return Ok(());
        }
        let mut table = Table::new([
            "client",
            "broker",
            "msgs/s",
            "x",
            "p50 ms",
            "p99 ms",
            "client µs/msg",
            "broker µs/msg",
            "client MiB",
        ]);
        let java_on_java = self.cell(workload, Client::Java, Broker::Real).median("msgs_per_s");
        for (client, broker) in CONTENDERS {
            let cell = self.cell(workload, client, broker);
            if cell.0.is_empty() {
                continue;
            }
            let rate = cell.median("msgs_per_s");
            table.row([
                self.client_name(client),
                self.broker_name(broker),
                cell.rates(),
                number_or_dash(ratio(rate, java_on_java)),
                number_or_dash(cell.median("p50_us").map(|us| us / 1e3)),
                number_or_dash(cell.median("p99_us").map(|us| us / 1e3)),
                number_or_dash(cell.client_us()),
                number_or_dash(cell.broker_us()),
                number_or_dash(cell.median("rss_peak_kb").map(|kb| kb / 1024.0)),
            ]);
        }
        if let Some(floor) = workload.own_floor() {
            let cell = self.floor(floor);
            let [no_p50, no_p99, no_memory] = std::array::from_fn(|_| "-".to_owned());
            table.row([
                "floor".to_owned(),
                floor.arguments.split(' ').next().unwrap_or_default().to_owned(),
                cell.rates(),
                number_or_dash(ratio(cell.median("msgs_per_s"), java_on_java)),
                no_p50,
                no_p99,
                number_or_dash(cell.median("client_us_per_msg")),
                number_or_dash(cell.median("broker_us_per_msg").or(cell.median("us_per_msg"))),
                no_memory,
            ]);
        }
        writeln!(f, "\n## {}\n\n{table}", workload.name)
    }

    fn floors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table =
            Table::new(["floor", "msgs/s", "msgs a write", "µs/msg, client side", "µs/msg, broker side"]);
        for floor in workload::FLOORS {
            let cell = self.floor(floor);
            table.row([
                floor.name.to_owned(),
                cell.rates(),
                number_or_dash(cell.median("msgs_per_write").or(cell.median("per_sync"))),
                number_or_dash(cell.median("client_us_per_msg")),
                number_or_dash(cell.median("broker_us_per_msg").or(cell.median("us_per_msg"))),
            ]);
        }
        writeln!(f, "\n## Floors\n\n{table}")
    }

    fn start_and_footprint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["start and footprint", "median", "min..max"]);
        let start_up = |key: &str| self.alone.start_up.get(key).map(numbers).unwrap_or_default();
        let rows = [
            ("TestCluster::start(), ms", start_up("test_cluster_start_ms")),
            ("consumer's start() to its listener's first call, ms", start_up("start_to_first_msg_ms")),
            ("broker-lite: exec to ready, ms", self.alone.cold_start_ms.clone()),
            ("broker-lite: idle RSS, MiB", vec![self.alone.idle_rss_kb as f64 / 1024.0]),
        ];
        for (name, values) in rows {
            table.row([name.to_owned(), number_or_dash(median(values.iter().copied())), spread(&values)]);
        }
        for broker in &self.session.brokers {
            let peak = broker["rss_peak_kb"].as_f64().map(|kb| kb / 1024.0);
            let name = format!("broker {}, {}: peak RSS, MiB", broker["broker"], broker["flush"]);
            table.row([name.replace('"', ""), number_or_dash(peak), String::new()]);
        }
        for (name, bytes) in &self.alone.binaries {
            let size = bytes.map(|bytes| number(bytes as f64 / 1e6));
            table.row([
                format!("binary {name}, MB"),
                size.unwrap_or_else(|| "not built".into()),
                String::new(),
            ]);
        }
        writeln!(f, "\n## Start and footprint\n\n{table}")
    }

    /// What the project wants to reach, and where it stands.
    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workloads = workload::all();
        let of = |name: &str| workloads.iter().find(|workload| workload.name == name);
        let cell = |name, client, broker| of(name).map(|workload| self.cell(workload, client, broker));
        let ours_on_lite = |name| cell(name, Client::Ours, Broker::Lite);
        let (sync, flush) = ("sync, 16 tasks, 1 KiB", "SYNC_FLUSH sync, 16 tasks, 1 KiB");
        let start_up = |key: &str| self.alone.start_up.get(key).and_then(|values| median(numbers(values)));
        let fsync_16 = self.floor(workload::FSYNC_16).median("msgs_per_s");
        let flushed = ours_on_lite(flush).and_then(|cell| cell.median("msgs_per_s"));
        let mut table = Table::new(["wanted", "measured"]);
        let rows = [
            (
                "our client under 10 µs a message, sync, 16 tasks",
                ours_on_lite(sync).and_then(|cell| cell.client_us()),
            ),
            (
                "broker-lite under 10 µs a message, sync, 16 tasks",
                ours_on_lite(sync).and_then(|cell| cell.broker_us()),
            ),
            ("SYNC_FLUSH with 16 tasks at least 0.5 of the fdatasync floor", ratio(flushed, fsync_16)),
            ("first message under 300 ms", start_up("start_to_first_msg_ms")),
            ("TestCluster::start() under 50 ms", start_up("test_cluster_start_ms")),
        ];
        for (wanted, measured) in rows {
            table.row([wanted.to_owned(), number_or_dash(measured)]);
        }
        writeln!(f, "\n## Held against what is wanted\n\n{table}")
    }

    fn cell(&self, workload: &Workload, client: Client, broker: Broker) -> Cell<'_> {
        let runs = self.session.runs.iter();
        let of_cell =
            runs.filter(|run| run.workload == workload.name && run.client == client && run.broker == broker);
        Cell(of_cell.map(|run| &run.figures).collect())
    }

    fn floor(&self, floor: Floor) -> Cell<'_> {
        Cell(
            self.session.floors.iter().filter(|run| run.name == floor.name).map(|run| &run.figures).collect(),
        )
    }

    fn client_name(&self, client: Client) -> String {
        match client {
            Client::Java => format!("Java {}", self.session.options.java_version),
            Client::Ours => "ours".to_owned(),
        }
    }

    fn broker_name(&self, broker: Broker) -> String {
        match broker {
            Broker::Real => format!("real {}", self.session.options.real_version),
            Broker::Lite => "broker-lite".to_owned(),
        }
    }
}

/// All rounds of one client on one broker.
struct Cell<'a>(Vec<&'a Json>);

impl Cell<'_> {
    fn values(&self, key: &str) -> Vec<f64> {
        self.0.iter().filter_map(|figures| figures.get(key)?.as_f64()).collect()
    }

    fn median(&self, key: &str) -> Option<f64> {
        median(self.values(key))
    }

    fn rates(&self) -> String {
        let rates = self.values("msgs_per_s");
        median(rates.iter().copied())
            .map_or_else(|| "-".into(), |middle| format!("{} ({})", number(middle), spread(&rates)))
    }

    fn client_us(&self) -> Option<f64> {
        self.us_per_message("cpu_window_s")
    }

    fn broker_us(&self) -> Option<f64> {
        self.us_per_message("watched_cpu_window_s")
    }

    fn us_per_message(&self, cpu_key: &str) -> Option<f64> {
        let of_run =
            |figures: &&Json| Some(figures.get(cpu_key)?.as_f64()? * 1e6 / figures.get("msgs")?.as_f64()?);
        median(self.0.iter().filter_map(of_run))
    }
}

fn ratio(value: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some(value? / to?)
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().min_by(f64::total_cmp);
    let most = values.iter().copied().max_by(f64::total_cmp);
    format!("{}..{}", number_or_dash(least), number_or_dash(most))
}
