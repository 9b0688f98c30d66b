//! From a request's code to its processor: one table a server, made of one a family of requests.

use std::ops::Deref;
use std::sync::Arc;

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Responder};

use super::answer::Answer;
use super::pool::Pool;
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
pub(crate) struct Table<C: 'static>(Vec<Entry<C>>);

struct Entry<C: 'static> {
    code: i32,
    process: Process<C>,
    place: Place,
}

/// Where a processor runs.
#[derive(Clone, Copy)]
enum Place {
    /// On the connection's task: it works in memory only.
    Here,
    /// In a pool: it may wait.
    Pool,
}

impl<C: Send + Sync> Table<C> {
    /// A table of these families, which work in memory only.
    pub(crate) fn new(families: &[Family<C>]) -> Self {
        Self(Vec::new()).and(families, Place::Here)
    }

    /// These families as well, which may wait: they run in a pool.
    pub(crate) fn and_in_pool(self, families: &[Family<C>]) -> Self {
        self.and(families, Place::Pool)
    }

    fn and(mut self, families: &[Family<C>], place: Place) -> Self {
        let all = families.iter().copied().flatten();
        self.0.extend(all.map(|(code, process)| Entry { code: code.as_i32(), process: *process, place }));
        self.0.sort_unstable_by_key(|entry| entry.code);
        debug_assert!(
            self.0.windows(2).all(|pair| pair[0].code != pair[1].code),
            "a code has two processors"
        );
        self
    }

    /// Has a request answered.
    pub(crate) fn serve(
        &self,
        context: &Arc<C>,
        pool: &Pool<Connection>,
        command: RemotingCommand,
        responder: Responder,
    ) {
        let Ok(index) = self.0.binary_search_by_key(&command.code(), |entry| entry.code) else {
            return not_supported(&command).answer(responder);
        };
        let Entry { process, place, .. } = self.0[index];
        match place {
            Place::Here => process_and_answer(process, context, &command, responder),
            Place::Pool => {
                let context = Arc::clone(context);
                in_pool(pool, responder, move |responder| {
                    process_and_answer(process, &context, &command, responder);
                });
            }
        }
    }
}

fn process_and_answer<C>(
    process: Process<C>,
    context: &Arc<C>,
    command: &RemotingCommand,
    responder: Responder,
) {
    let request = Request { command, connection: responder.connection() };
    match process(context, &request) {
        Ok(answer) => answer.send(responder),
        Err(refusal) => refusal.answer(responder),
    }
}

/// Has something done in a pool for whoever a responder belongs to, or says that the pool is full.
pub(crate) fn in_pool(
    pool: &Pool<Connection>,
    responder: Responder,
    work: impl FnOnce(Responder) + Send + 'static,
) {
    let Some(place) = pool.place() else {
        return Refusal::busy("too many requests wait for the disk").answer(responder);
    };
    let peer = responder.connection().clone();
    pool.run(place, peer, move || match responder.connection().is_closed() {
        // Nobody would get the answer.
        true => responder.forget(),
        false => work(responder),
    });
}

/// Java's answer to a code that it does not know; here also to those that this release does not have yet.
pub(crate) fn not_supported(command: &RemotingCommand) -> Refusal {
    let remark = format!(" request type {} not supported", command.code());
    Refusal::new(ResponseCode::RequestCodeNotSupported, remark)
}
