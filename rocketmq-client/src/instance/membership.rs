//! The share that a producer or consumer has in its instance.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ClientInstance;

/// Keeps an instance running. The last one to leave, or to be dropped, ends it.
pub(crate) struct Membership {
    instance: Arc<ClientInstance>,
    members: Arc<AtomicUsize>,
}

impl Membership {
    pub(super) fn first(instance: Arc<ClientInstance>) -> Self {
        Self { instance, members: Arc::new(AtomicUsize::new(1)) }
    }

    pub(super) fn parts(&self) -> (Arc<ClientInstance>, Arc<AtomicUsize>) {
        (Arc::clone(&self.instance), Arc::clone(&self.members))
    }

    /// Joins a running instance, unless its last member has left.
    pub(super) fn join(instance: Arc<ClientInstance>, members: Arc<AtomicUsize>) -> Option<Self> {
        let joined = members
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count > 0).then_some(count + 1));
        joined.is_ok().then_some(Self { instance, members })
    }

    /// A handle to the instance that does not keep it running.
    pub(crate) fn instance(&self) -> &Arc<ClientInstance> {
        &self.instance
    }

    /// Leaves. If this was the last member, waits until the instance's tasks have ended.
    pub(crate) async fn leave(self) {
        let instance = Arc::clone(&self.instance);
        drop(self);
        if instance.stop.is_cancelled() {
            instance.tasks.wait().await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.instance.close();
        }
    }
}

impl Deref for Membership {
    type Target = ClientInstance;

    fn deref(&self) -> &ClientInstance {
        &self.instance
    }
}
