//! What wasmtime-wasi-http calls. Hands each request to [`exchange`](super::exchange) as a future of its own: no wait holds the
//! Store's resources. Must not decide anything.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{Ledger, Outbound, Scope, connector::BUFFER_BYTES, exchange};
use crate::capability::caller::Chain;

/// Takes a sentence for the worker's log and its last error: why a request was refused, or what the host knows beyond an error code.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// Instance-wide: made once a Store.
pub struct Hooks {
    pub outbound: Arc<Outbound>,
    pub ledger: Arc<Ledger>,
    /// Whose requests these are: the worker itself, then whose calls led to the event in hand. To be set before each event.
    pub chain: Arc<Chain>,
    report: Option<Report>,
}

impl Hooks {
    pub fn new(outbound: Arc<Outbound>, ledger: Arc<Ledger>) -> Self {
        ledger.mask_with(outbound.client.secrets.masker());
        let chain = Arc::new(Chain { worker: Arc::clone(&outbound.worker), before: None, call: None });
        Self { outbound, ledger, chain, report: None }
    }

    /// Where sentences for people go.
    pub fn reporting(self, report: Report) -> Self {
        Self { report: Some(report), ..self }
    }
}

/// What becomes of the connection after the response; ours look after themselves.
type Afterwards = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Afterwards,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Afterwards), Error>> + Send> {
        let (outbound, ledger, chain) = (Arc::clone(&self.outbound), Arc::clone(&self.ledger), Arc::clone(&self.chain));
        let scope = Scope { outbound, chain, ledger, report: self.report.clone() };
        Box::new(async move {
            let response = exchange::send(scope, request, options.unwrap_or_default()).await?;
            Ok((response, Box::new(std::future::ready(Ok(()))) as Afterwards))
        })
    }

    /// Two chunks of a guest's body are buffered at a time.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BUFFER_BYTES / 2
    }
}
