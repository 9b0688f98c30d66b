//! The running instances that more than one client may share: those whose instance name the program chose.
//!
//! This is the crate's only static. It holds no instance alive, and two instances meet here only if client id, name
//! servers and runtime are all the same.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use super::{ClientInstance, Membership};

/// Client id, name servers, runtime.
type Key = (String, Vec<String>, tokio::runtime::Id);
/// The instance and how many members it has.
type Running = (Weak<ClientInstance>, Arc<AtomicUsize>);

static RUNNING: LazyLock<Mutex<HashMap<Key, Running>>> = LazyLock::new(Mutex::default);

/// Joins the instance of that id and those name servers, or starts it.
pub(super) fn join(
    client_id: &str,
    name_servers: &[String],
    start: impl FnOnce() -> Arc<ClientInstance>,
) -> Membership {
    let mut sorted = name_servers.to_vec();
    sorted.sort_unstable();
    let key = (client_id.to_owned(), sorted, tokio::runtime::Handle::current().id());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.retain(|_, (instance, _)| instance.strong_count() > 0);
    let joined = running
        .get(&key)
        .and_then(|(instance, members)| Membership::join(instance.upgrade()?, Arc::clone(members)));
    joined.unwrap_or_else(|| {
        let membership = Membership::first(start());
        let (instance, members) = membership.parts();
        running.insert(key, (Arc::downgrade(&instance), members));
        membership
    })
}
