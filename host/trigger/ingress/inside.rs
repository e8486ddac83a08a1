//! Requests from one worker to another, `http://NAME.skep.internal`: the same way as from outside, without a socket.
//!
//! What the caller may reach was decided before. A request whose own chain would come back to where it has been is refused here; two
//! events that ask each other's workers beside one another end with their own timeouts.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use wasmtime_wasi_http::WasiBody;

use super::{Ingress, exchange, inbound::Source};
use crate::capability::{
    caller::Chain,
    http::{Internal, Unreached},
};

impl Internal for Ingress {
    fn send<'a>(
        &'a self,
        chain: Arc<Chain>,
        worker: &'a str,
        request: Request<WasiBody>,
    ) -> BoxFuture<'a, Result<Response<WasiBody>, Unreached>> {
        Box::pin(async move {
            let Some(site) = self.shared.named(worker) else {
                return Err(Unreached::NotFound(format!(
                    "no worker \"{worker}\" takes requests: declare it with http = {{ routes = [\"/…\"] }}"
                )));
            };
            if chain.workers().any(|before| *before == site.name) {
                let mut way: Vec<&str> = chain.workers().map(|name| &**name).collect();
                way.reverse();
                return Err(Unreached::Loop(format!("{} → {worker} would wait for itself", way.join(" → "))));
            }
            let response = exchange::inside(&self.shared, &site, request.map(Source::Inside), Some(chain)).await;
            Ok(response.map(BodyExt::boxed_unsync))
        })
    }
}
