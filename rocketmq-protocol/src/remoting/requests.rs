//! The requests that a turn brings.

use super::inbound::Inbound;
use super::{Connection, Responder};
use crate::command::RemotingCommand;

/// Requests of one connection in the order of arrival, each with the way back. They are decoded one by one, as long as the
/// connection has room for their answers. Those that nobody takes are answered with an error, so that no peer waits for
/// nothing.
#[derive(Debug)]
pub struct Requests<'a> {
    connection: &'a Connection,
    inbound: &'a mut Inbound,
    next: Option<RemotingCommand>,
    /// The responses that came between the requests.
    responses: &'a mut Vec<RemotingCommand>,
    /// Why nothing further can be read.
    broken: Option<String>,
}

impl<'a> Requests<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        inbound: &'a mut Inbound,
        responses: &'a mut Vec<RemotingCommand>,
    ) -> Self {
        Self { connection, inbound, next: None, responses, broken: None }
    }

    /// The connection that they came on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// The next request, which stays.
    pub fn peek(&mut self) -> Option<&RemotingCommand> {
        if self.next.is_none() {
            self.next = self.read_on();
        }
        self.next.as_ref()
    }

    pub(super) fn into_broken(self) -> Option<String> {
        self.broken
    }

    fn read_on(&mut self) -> Option<RemotingCommand> {
        while self.broken.is_none() && !self.connection.must_not_take_on() {
            match self.inbound.next_command() {
                Ok(Some(response)) if response.is_response() => self.responses.push(response),
                Ok(next) => return next,
                Err(error) => self.broken = Some(error),
            }
        }
        None
    }
}

impl Iterator for Requests<'_> {
    type Item = (RemotingCommand, Responder);

    fn next(&mut self) -> Option<Self::Item> {
        let request = self.next.take().or_else(|| self.read_on())?;
        let responder = Responder::new(self.connection.clone(), &request);
        Some((request, responder))
    }
}
