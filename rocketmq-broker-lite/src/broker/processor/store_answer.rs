//! What a producer is told when the store has not taken a message, or not yet safely.

use rocketmq_protocol::code::ResponseCode;

use crate::broker::refusal::Refusal;
use crate::store::{FlushOutcome, StoreError};

/// The answer to a send that the store refused. `max_message_size` is in bytes.
pub(crate) fn refusal(error: &StoreError, max_message_size: usize) -> Refusal {
    match error {
        StoreError::MessageIllegal { .. } | StoreError::PropertiesTooLong { .. } => illegal(max_message_size),
        StoreError::MixedBatch | StoreError::NotFound(_) => {
            Refusal::new(ResponseCode::SystemError, error.to_string())
        }
        _ => Refusal::new(ResponseCode::ServiceNotAvailable, format!("service not available now: {error}")),
    }
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
