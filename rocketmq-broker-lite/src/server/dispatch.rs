//! From a request's code to its processor: one table a server, made of one a family of requests.

use std::ops::Deref;
use std::sync::Arc;

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Responder};

use super::answer::Answer;
use super::refusal::Refusal;

/// A request, and the connection that it came on.
pub(crate) struct Request<'a> {
    command: &'a RemotingCommand,
    connection: &'a Connection,
}

impl Request<'_> {
    /// The connection that it came on.
    pub(crate) fn connection(&self) -> &Connection {
        self.connection
    }
}

impl Deref for Request<'_> {
    type Target = RemotingCommand;

    fn deref(&self) -> &RemotingCommand {
        self.command
    }
}

/// What answers a request.
pub(crate) type Process<C> = fn(&Arc<C>, &Request<'_>) -> Result<Answer, Refusal>;

/// The processors of a family of requests.
pub(crate) type Family<C> = &'static [(RequestCode, Process<C>)];

/// The processors of a server. `C` is what they work on.
pub(crate) struct Table<C: 'static>(Vec<(i32, Process<C>)>);

impl<C> Table<C> {
    /// A table of these families.
    pub(crate) fn new(families: &[Family<C>]) -> Self {
        let mut all: Vec<_> =
            families.iter().copied().flatten().map(|(code, process)| (code.as_i32(), *process)).collect();
        all.sort_unstable_by_key(|(code, _)| *code);
        debug_assert!(all.windows(2).all(|pair| pair[0].0 != pair[1].0), "a code has two processors");
        Self(all)
    }

    /// Has a request answered.
    pub(crate) fn serve(&self, context: &Arc<C>, command: &RemotingCommand, responder: Responder) {
        let request = Request { command, connection: responder.connection() };
        let answer = match self.0.binary_search_by_key(&command.code(), |(code, _)| *code) {
            Ok(index) => self.0[index].1(context, &request),
            Err(_) => Err(not_supported(command)),
        };
        respond(answer, responder);
    }
}

/// Answers, whether it is yes or no.
pub(crate) fn respond(answer: Result<Answer, Refusal>, responder: Responder) {
    match answer {
        Ok(answer) => answer.send(responder),
        Err(refusal) => refusal.answer(responder),
    }
}

/// Java's answer to a code that it does not know; here also to those that this release does not have yet.
pub(crate) fn not_supported(command: &RemotingCommand) -> Refusal {
    let remark = format!(" request type {} not supported", command.code());
    Refusal::new(ResponseCode::RequestCodeNotSupported, remark)
}
