//! What broker and name server have in common as servers: one shape of answer, one way to refuse, one table of
//! processors.

pub(crate) mod answer;
pub(crate) mod dispatch;
pub(crate) mod pool;
pub(crate) mod refusal;
