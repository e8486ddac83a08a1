//! Lets workers with the grant change a limiter's rate for good: their `set-rate` becomes an edit of the manifest, as an operator's does.

use futures_util::future::BoxFuture;

use crate::{capability::services::Rates, fleet::Fleet, manifest::spec::Rate};

/// The fleet, as the limiter capability sees it.
#[derive(Debug)]
pub struct ManifestRates(pub Fleet);

impl Rates for ManifestRates {
    fn set_rate<'a>(&'a self, name: &'a str, rate: Rate) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.0.set_rate(name, rate).await.map(|_| ()).map_err(|error| error.to_string()) })
    }
}
