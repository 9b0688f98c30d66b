//! Who is connected: the members of consumer and producer groups.

pub(crate) mod consumers;
pub(crate) mod producers;
