//! Links `wasi:http` with one function of our own: the crate's `outgoing-handler.handle` forgets to free the options it takes
//! (wasmtime-wasi-http 48.0.8), so that a long-lived instance would run out of handles after some thousand requests.
//!
//! Must not decide anything; goes when the crate frees them itself.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpView,
    p2::{
        bindings::http::{outgoing_handler, types},
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
};

type Handled = Result<Resource<HostFutureIncomingResponse>, types::ErrorCode>;

/// Adds `wasi:http/types` and `wasi:http/outgoing-handler`.
pub fn link<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiHttp>(linker, &types::LinkOptions::default(), T::http)?;
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap("handle", handle::<T>)?;
    Ok(())
}

fn handle<T: WasiHttpView>(
    mut store: StoreContextMut<'_, T>,
    (request, options): (Resource<HostOutgoingRequest>, Option<Resource<types::RequestOptions>>),
) -> wasmtime::Result<(Handled,)> {
    let mut view = store.data_mut().http();
    let spent = options.as_ref().map(Resource::rep);
    let answer = outgoing_handler::Host::handle(&mut view, request, options);
    if let Some(rep) = spent {
        view.table.delete(Resource::<types::RequestOptions>::new_own(rep))?;
    }
    match answer {
        Ok(future) => Ok((Ok(future),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
