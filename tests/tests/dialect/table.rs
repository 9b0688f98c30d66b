//! The table of cases: what is sent, and what each release makes of it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::PathBuf;

/// What is sent, of which kind, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    line: usize,
    /// See [`Probe`](super::probe::Probe).
    pub(crate) kind: String,
    /// The text, with the probe's placeholders.
    pub(crate) text: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} {}", self.line, self.kind, self.text)
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Apache RocketMQ 4.9.7.
    V4,
    /// Apache RocketMQ 5.5.0.
    V5,
    /// The broker and name server of this repository.
    Ours,
}

/// A line of the file.
#[derive(Debug)]
enum Line {
    Comment(String),
    Case { kind: String, text: String, outcomes: [String; 3] },
}

/// The whole file.
#[derive(Debug)]
pub(crate) struct Table(Vec<Line>);

fn path() -> PathBuf {
    tests::repository().join("tests/tests/dialect/table.txt")
}

impl Table {
    /// The file as it is.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap();
        Self(text.lines().map(Self::line).collect())
    }

    fn line(line: &str) -> Line {
        if line.is_empty() || line.starts_with('#') {
            return Line::Comment(line.to_owned());
        }
        let mut columns = line.split('\t').map(str::to_owned);
        let mut column = || columns.next().unwrap_or_default();
        Line::Case { kind: column(), text: column(), outcomes: [column(), column(), column()] }
    }

    /// What is sent.
    pub(crate) fn cases(&self) -> impl Iterator<Item = Case> {
        self.0.iter().enumerate().filter_map(|(at, line)| match line {
            Line::Comment(_) => None,
            Line::Case { kind, text, .. } => {
                Some(Case { line: at + 1, kind: kind.clone(), text: text.clone() })
            }
        })
    }

    /// What must become of a case. Where the two real ones differ, ours does as 4.9.7 does, but for the cases with a third
    /// outcome: `docs/dialect.md` says why.
    pub(crate) fn wanted(&self, case: &Case, release: Release) -> &str {
        let Some(Line::Case { outcomes: [four, five, ours], .. }) = self.0.get(case.line - 1) else {
            unreachable!("the case is of this table")
        };
        match release {
            Release::V5 => five,
            Release::Ours if !ours.is_empty() => ours,
            Release::V4 | Release::Ours => four,
        }
    }

    /// Puts in what a release made of the cases.
    pub(crate) fn record(&mut self, release: Release, found: &BTreeMap<Case, String>) {
        let column = match release {
            Release::V4 => 0,
            Release::V5 => 1,
            Release::Ours => 2,
        };
        for (case, outcome) in found {
            if let Line::Case { outcomes, .. } = &mut self.0[case.line - 1] {
                outcomes[column].clone_from(outcome);
                if outcomes[2] == outcomes[0] {
                    outcomes[2].clear();
                }
            }
        }
    }

    /// Writes the file.
    pub(crate) fn write(&self) {
        let mut text = String::new();
        for line in &self.0 {
            match line {
                Line::Comment(comment) => writeln!(text, "{comment}").unwrap(),
                Line::Case { kind, text: sent, outcomes: [four, five, ours] } => {
                    write!(text, "{kind}\t{sent}\t{four}\t{five}").unwrap();
                    writeln!(text, "{}{ours}", if ours.is_empty() { "" } else { "\t" }).unwrap();
                }
            }
        }
        std::fs::write(path(), text).unwrap();
    }
}
