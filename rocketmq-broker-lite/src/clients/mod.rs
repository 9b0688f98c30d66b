//! Who is connected: the members of consumer and producer groups.

pub(crate) mod consumers;
mod memberships;
pub(crate) mod producers;
