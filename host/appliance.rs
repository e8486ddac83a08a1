//! The appliance: the only file that sees every room. (skeleton: the call that `skep up` makes)

use crate::config::Settings;

/// Builds, announces its addresses, runs until told to stop, drains within the deadline.
pub fn up(_settings: Settings) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Err("not in this build".into())
}
