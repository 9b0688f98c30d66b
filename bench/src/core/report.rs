//! Tables of what was measured, and the targets beside it.

use std::fmt;

use super::{CONTENDERS, Contender, CoreOptions, IN_FLIGHT, Run};
use crate::table::{Table, median, number, number_or_dash};

/// Prints as Markdown.
pub(super) struct Report<'a> {
    pub(super) options: &'a CoreOptions,
    pub(super) notes: &'a [String],
    pub(super) runs: &'a [Run],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CoreOptions { rounds, seconds, warmup, size, .. } = self.options;
        writeln!(f, "# The core: sends of {size} bytes\n")?;
        writeln!(
            f,
            "- {rounds} rounds by turns, {seconds} s each after {warmup} s; rates are median (min..max)"
        )?;
        writeln!(
            f,
            "- 1 and 16 in flight: as many tasks that send and wait; 1,024: one task, one connection"
        )?;
        writeln!(
            f,
            "- the floor is threads and blocking sockets; beside it the same bytes are asked for from a task on the runtime \
             that our client has, with as many workers"
        )?;
        writeln!(
            f,
            "- NATS's client is a bare loop on one thread; its stream has file storage and one replica"
        )?;
        if cfg!(debug_assertions) {
            writeln!(f, "- THIS IS A DEBUG BUILD: its figures mean nothing")?;
        }
        for note in self.notes {
            writeln!(f, "- {note}")?;
        }
        for in_flight in IN_FLIGHT {
            self.table(f, in_flight)?;
        }
        self.targets(f)
    }
}

impl Report<'_> {
    fn table(&self, f: &mut fmt::Formatter<'_>, in_flight: usize) -> fmt::Result {
        let mut table = Table::new([
            "peer",
            "msgs/s",
            "of the echo's",
            "client µs/msg",
            "of the echo's",
            "peer µs/msg",
            "p50 ms",
            "p99 ms",
        ]);
        let echo = self.cell(Contender::Echo, in_flight);
        for contender in CONTENDERS {
            let cell = self.cell(contender, in_flight);
            if cell.0.is_empty() {
                continue;
            }
            table.row([
                self.name(contender),
                cell.rates(),
                number_or_dash(ratio(cell.rate(), echo.rate())),
                number_or_dash(cell.client_us()),
                number_or_dash(ratio(cell.client_us(), echo.client_us())),
                number_or_dash(cell.peer_us()),
                number_or_dash(cell.median("p50_us").map(|us| us / 1e3)),
                number_or_dash(cell.median("p99_us").map(|us| us / 1e3)),
            ]);
        }
        writeln!(f, "\n## {} in flight\n\n{table}", number(in_flight as f64))
    }

    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |contender, in_flight| self.cell(contender, in_flight);
        let task_16 = cell(Contender::EchoTask, 16);
        let (echo_1, echo_16) = (cell(Contender::Echo, 1), cell(Contender::Echo, 16));
        let nats = cell(Contender::Nats, 1024).rate();
        let rows = [
            (
                "client CPU with 16 in flight on the answering peer, of the echo's: at most 1.8",
                ratio(cell(Contender::Answering, 16).client_us(), echo_16.client_us()),
            ),
            (
                "the same, of the echo's from a task on the same runtime",
                ratio(cell(Contender::Answering, 16).client_us(), task_16.client_us()),
            ),
            (
                "client CPU with 16 in flight on broker-lite, of the echo's: at most 1.8",
                ratio(cell(Contender::Lite, 16).client_us(), echo_16.client_us()),
            ),
            (
                "1 in flight on the answering peer, of the echo's rate: at least 0.4",
                ratio(cell(Contender::Answering, 1).rate(), echo_1.rate()),
            ),
            ("the same on broker-lite: at least 0.4", ratio(cell(Contender::Lite, 1).rate(), echo_1.rate())),
            (
                "1,024 in flight on the answering peer, of the echo's rate at 16: at least 1.43",
                ratio(cell(Contender::Answering, 1024).rate(), echo_16.rate()),
            ),
            (
                "1,024 in flight on broker-lite, of NATS JetStream's rate",
                ratio(cell(Contender::Lite, 1024).rate(), nats),
            ),
            (
                "1,024 in flight on the real broker, of NATS JetStream's rate",
                ratio(cell(Contender::Real, 1024).rate(), nats),
            ),
        ];
        let mut table = Table::new(["wanted", "measured"]);
        for (wanted, measured) in rows {
            table.row([wanted.to_owned(), number_or_dash(measured)]);
        }
        writeln!(f, "\n## Held against what is wanted\n\n{table}")
    }

    fn cell(&self, contender: Contender, in_flight: usize) -> Cell<'_> {
        let runs = self.runs.iter();
        Cell(runs.filter(|run| run.contender == contender && run.in_flight == in_flight).collect())
    }

    fn name(&self, contender: Contender) -> String {
        match contender {
            Contender::Echo => "bare echo (floor)".to_owned(),
            Contender::EchoTask => "bare echo, a task on tokio".to_owned(),
            Contender::Answering => "ours, answering peer".to_owned(),
            Contender::Lite => "ours, broker-lite".to_owned(),
            Contender::Real => format!("ours, real {}", self.options.real_version),
            Contender::Nats => format!("NATS JetStream {}", self.options.nats_version),
        }
    }
}

/// All rounds of one contender.
struct Cell<'a>(Vec<&'a Run>);

impl Cell<'_> {
    fn values(&self, key: &str) -> Vec<f64> {
        self.0.iter().filter_map(|run| run.figures.get(key)?.as_f64()).collect()
    }

    fn median(&self, key: &str) -> Option<f64> {
        median(self.values(key))
    }

    fn rate(&self) -> Option<f64> {
        self.median("msgs_per_s")
    }

    fn rates(&self) -> String {
        let rates = self.values("msgs_per_s");
        let least = rates.iter().copied().min_by(f64::total_cmp);
        let most = rates.iter().copied().max_by(f64::total_cmp);
        let middle = median(rates.iter().copied());
        format!("{} ({}..{})", number_or_dash(middle), number_or_dash(least), number_or_dash(most))
    }

    fn client_us(&self) -> Option<f64> {
        self.median("client_us_per_msg").or_else(|| self.us_per_message("cpu_window_s"))
    }

    fn peer_us(&self) -> Option<f64> {
        self.median("broker_us_per_msg").or_else(|| self.us_per_message("watched_cpu_window_s"))
    }

    fn us_per_message(&self, key: &str) -> Option<f64> {
        let of_run = |run: &&Run| Some(run.figures.get(key)?.as_f64()? * 1e6 / run.figures["msgs"].as_f64()?);
        median(self.0.iter().filter_map(of_run))
    }
}

fn ratio(value: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some(value? / to?)
}
