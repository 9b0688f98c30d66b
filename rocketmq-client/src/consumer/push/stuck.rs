//! Listeners that hold messages for too long. Java: `ConsumeMessageConcurrentlyService.cleanExpireMsg`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Push;
use super::concurrently::give_back;

/// How often it is looked at the longest.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// The delay level of what is taken from a listener.
const LEVEL: i32 = 3;

/// Warns of calls that last long, and takes from them what they have had for longer than `consume_timeout`.
pub(super) async fn run(push: &Arc<Push>) {
    let limit = push.config.consume_timeout;
    let interval = (limit / 15).clamp(Duration::from_millis(10), LONGEST_INTERVAL);
    loop {
        tokio::time::sleep(interval).await;
        let now = Instant::now();
        for queue in push.core.held_queues() {
            if let Some((offset, since)) = queue.oldest_call()
                && let age = now.saturating_duration_since(since)
                && age > interval
            {
                tracing::warn!(
                    queue = %queue.queue, offset, age_ms = age.as_millis(), group = %push.core.config.consumer_group,
                    "a call of the listener has lasted for long: no offset is committed past its messages"
                );
            }
            let expired = queue.expire(now, limit);
            for message in &expired {
                tracing::warn!(
                    queue = %queue.queue, offset = message.offset,
                    "the listener has had a message for longer than consume_timeout: it goes back to the broker"
                );
            }
            give_back(push, &queue, expired, LEVEL);
        }
    }
}
