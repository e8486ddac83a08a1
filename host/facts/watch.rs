//! Facts about watching itself: maintenance windows, and whether this host can see what it watches.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One `[[maintenance]]` window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceView {
    pub name: String,
    /// Names of workers and `group:NAME`; empty: all workers.
    pub workers: Vec<String>,
    /// Its checks are `maintenance` now.
    pub open: bool,
    /// Where the open or else the next one begins; one that is over for good: where it began. Null: its cron names no time to come.
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The cron expression with its time zone; null for a window that comes once.
    pub cron: Option<String>,
    /// Where it is declared.
    pub file: String,
    pub line: u32,
}

/// What a watched host is reached through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    Internet,
    /// Private and link-local addresses.
    Lan,
}

impl Network {
    /// As a sentence names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internet => "the internet",
            Self::Lan => "the local network",
        }
    }
}

/// This host seems to be the one that is down: nothing it watches over a network answers any more, so failures there say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutOff {
    pub network: Network,
    /// When a host of that network answered for the last time.
    pub since: Timestamp,
    /// In a sentence, without the last error.
    pub reason: String,
}
