//! The requests that one read brought.

use std::collections::VecDeque;

use super::{Connection, Responder};
use crate::command::RemotingCommand;

/// Requests of one connection in the order of arrival, each with the way back. Those that nobody takes are answered
/// with an error, so that no peer waits for nothing.
#[derive(Debug)]
pub struct Requests<'a> {
    connection: &'a Connection,
    commands: VecDeque<RemotingCommand>,
}

impl<'a> Requests<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, commands: VecDeque::new() }
    }

    pub(super) fn push(&mut self, request: RemotingCommand) {
        self.commands.push_back(request);
    }

    /// The connection that they came on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// The next request, which stays.
    #[must_use]
    pub fn peek(&self) -> Option<&RemotingCommand> {
        self.commands.front()
    }
}

impl Iterator for Requests<'_> {
    type Item = (RemotingCommand, Responder);

    fn next(&mut self) -> Option<Self::Item> {
        let request = self.commands.pop_front()?;
        let responder = Responder::new(self.connection.clone(), &request);
        Some((request, responder))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.commands.len(), Some(self.commands.len()))
    }
}

impl ExactSizeIterator for Requests<'_> {}

impl Drop for Requests<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
