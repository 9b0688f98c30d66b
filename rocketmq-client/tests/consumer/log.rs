//! What is logged on a test's thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// An event's fields, its text as `message`.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// The warnings of a test that runs on one thread, as long as this lives.
pub(crate) struct Warnings {
    warnings: mpsc::UnboundedReceiver<Fields>,
    _guard: DefaultGuard,
}

impl Warnings {
    pub(crate) fn catch() -> Self {
        let (sender, warnings) = mpsc::unbounded_channel();
        let guard = tracing::subscriber::set_default(Catcher(Mutex::new(sender)));
        Self { warnings, _guard: guard }
    }

    /// Waits for a warning whose text has this in it.
    pub(crate) async fn next(&mut self, text: &str) -> Fields {
        let warned = async {
            loop {
                let warning = self.warnings.recv().await.unwrap();
                if warning["message"].contains(text) {
                    return warning;
                }
            }
        };
        let warned = tokio::time::timeout(crate::broker::PATIENCE, warned).await;
        warned.unwrap_or_else(|_| panic!("nobody warns of: {text}"))
    }
}

struct Catcher(Mutex<mpsc::UnboundedSender<Fields>>);

impl Subscriber for Catcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Texts(Fields::new());
        event.record(&mut fields);
        // The test may be over.
        let _ = self.0.lock().unwrap().send(fields.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Texts(Fields);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
