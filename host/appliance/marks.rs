//! What a worker is deployed with, told to the store, which marks what is new: charts show it.
//!
//! Must not compare: the store knows what ran before, also before this start.

use sha2::{Digest as _, Sha256};

use crate::{clock::Clock, facts::Digest, fleet::Order, store::Deployed, worker::Component};

pub fn deployed(order: &Order<Component>, clock: Clock) -> Deployed {
    let spec = &order.spec;
    Deployed { worker: spec.name.clone(), at: clock.wall(), component: order.component.digest.clone(), config: config(&spec.run.config) }
}

/// Keys of JSON objects are in order, so equal configs have equal digests.
fn config(config: &serde_json::Value) -> Digest {
    let digest = Sha256::digest(config.to_string().as_bytes());
    Digest(format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).into())
}
