//! What a producer is told when the store has not taken a message, or not yet safely.

use rocketmq_protocol::code::ResponseCode;

use crate::server::refusal::Refusal;
use crate::store::{FlushOutcome, StoreError};

/// Java's words while the log's lock is held for too long.
const BUSY: &str = "[PC_SYNCHRONIZED]broker busy, start flow control for a while";

/// The answer to a send that the store refused. `max_message_size` is in bytes.
pub(crate) fn refusal(error: &StoreError, max_message_size: usize) -> Refusal {
    match error {
        StoreError::MessageIllegal { .. } | StoreError::PropertiesTooLong { .. } => illegal(max_message_size),
        StoreError::MixedBatch | StoreError::NotFound(_) => Refusal::system(error),
        StoreError::Busy => Refusal::new(ResponseCode::SystemBusy, BUSY),
        // Why in detail is for the log: it names the server's files.
        _ => Refusal::new(ResponseCode::ServiceNotAvailable, not_available(error)),
    }
}

/// Java's words.
fn not_available(error: &StoreError) -> String {
    let used = match error {
        StoreError::DiskFull { used_percent, .. } => f64::from(*used_percent) / 100.0,
        _ => 0.0,
    };
    format!(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full [CL: \
         {used:5.2} CQ: {used:5.2} INDEX: {used:5.2}], messages are put to the slave, message store has been shut down, \
         etc."
    )
}

/// The answer to a message that breaks a limit.
pub(crate) fn illegal(max_message_size: usize) -> Refusal {
    let remark = format!(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit \
         {max_message_size}B, msg properties length limit 32KB."
    );
    Refusal::new(ResponseCode::MessageIllegal, remark)
}

/// The code of a send that waited for the disk; its answer says where the message lies, whatever the code.
///
/// # Errors
/// The store failed meanwhile.
pub(crate) fn flush_code(outcome: FlushOutcome) -> Result<ResponseCode, Refusal> {
    match outcome {
        FlushOutcome::Flushed => Ok(ResponseCode::Success),
        FlushOutcome::TimedOut => Ok(ResponseCode::FlushDiskTimeout),
        FlushOutcome::Failed => Err(Refusal::new(
            ResponseCode::ServiceNotAvailable,
            "service not available now: the message could not be flushed to disk",
        )),
    }
}
