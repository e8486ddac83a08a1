//! A made-up exchange that speaks the public API of the real one, so that whoever clones it can be tried with no internet.
//!
//! | module | what |
//! |---|---|
//! | [`trades`] | the trades: a pure function of pair and second |
//! | [`api`] | both generations of the API over them |
//! | [`front`] | the door: calls counted, limited, spoilt on purpose |
//! | [`date`] | seconds as the legacy API writes them |
//!
//! Must not keep anything but the door's counts: the same question about the past has the same answer for ever.

pub mod api;
pub mod date;
pub mod front;
pub mod trades;
