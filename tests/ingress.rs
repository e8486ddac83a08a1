//! HTTP routes: which worker a path belongs to, what clients are told, how bodies go both ways, and how it ends.

mod bodies;
mod ends;
mod fake;
mod heads;
mod host;
mod inside;
mod table;
