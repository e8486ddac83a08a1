//! Permissions as written → checked. The one place that knows how each capability is granted.
//!
//! Must not decide about a request: that is the capabilities' business, with what is built here.

use super::{
    allow::{self, Allowed},
    hints::{moved_grant, name_fault},
    reader::{Field, Reader},
    spec::{Grants, HttpGrant, PingGrant},
    tree::Node,
    triggers::{method, or_default, path, small_table, topic},
};

/// Grants whose `config:` entries still wait for a config: each item of `each` has its own. What can't be read is left out, so
/// that the rest is looked at all the same; with a problem reported nothing of it is used.
#[derive(Debug, Default)]
pub(super) struct Draft<'n> {
    http: Option<(Vec<Allowed<'n>>, HttpGrant)>,
    ping: Option<(Vec<Allowed<'n>>, PingGrant)>,
    rest: Grants,
}

pub(super) fn draft<'n>(field: &Field<'n>) -> Option<Draft<'n>> {
    let mut table = field.table("{ http = { allow = [\"https://example.com\"] } }")?;
    let http = table.take("http").and_then(|f| http(&f));
    let ping = table.take("ping").and_then(|f| ping(&f));
    let queue_push = table
        .take("queue")
        .and_then(|f| small_table(&f, "{ push = [\"todo\"] }", |t| t.need("push", "[\"todo\"]").and_then(|f| names(&f, "[\"todo\"]"))));
    let kv = table.take("kv").and_then(|f| names(&f, "[\"bucket\"]"));
    let call = table.take("call").and_then(|f| f.list_of("[\"worker\"]", worker_name));
    let limiter = table.take("limiter").and_then(|f| small_table(&f, "{ acquire = [\"name\"] }", limiter));
    let publish = table.take("publish").and_then(|f| f.list_of("[\"checks.*\"]", topic));
    table.finish("capability", moved_grant);
    let (limiter_acquire, limiter_set_rate) = limiter.unwrap_or_default();
    let rest = Grants {
        http: None,
        ping: None,
        queue_push: queue_push.unwrap_or_default(),
        kv: kv.unwrap_or_default(),
        call: call.unwrap_or_default(),
        limiter_acquire,
        limiter_set_rate,
        publish: publish.unwrap_or_default(),
    };
    Some(Draft { http, ping, rest })
}

impl Draft<'_> {
    /// Fills in what `config:` entries find in `config`.
    pub fn resolve(&self, config: &Node<'_>) -> Grants {
        Grants {
            http: self.http.as_ref().map(|(entries, grant)| HttpGrant { allow: allow::resolve(entries, config), ..grant.clone() }),
            ping: self.ping.as_ref().map(|(entries, grant)| PingGrant { allow: allow::resolve(entries, config), ..grant.clone() }),
            ..self.rest.clone()
        }
    }
}

fn http<'n>(field: &Field<'n>) -> Option<(Vec<Allowed<'n>>, HttpGrant)> {
    let mut table = field.table("{ allow = [\"https://example.com\"] }")?;
    let allow = allow_list(&mut table, "[\"https://example.com\"]");
    let methods = table.take("methods").and_then(|f| f.list_of("[\"GET\"]", method));
    let paths = table.take("paths").and_then(|f| f.list_of("[\"/api\"]", path));
    let (rate, limiter) = (table.take("rate"), table.take("limiter"));
    if let (Some(_), Some(both)) = (&rate, &limiter) {
        both.complain("rate and limiter can't stand together", Some("keep one: the limiter has a rate of its own".to_owned()));
    }
    let grant = HttpGrant {
        allow: Vec::new(),
        methods: methods.unwrap_or_default(),
        paths: paths.unwrap_or_default(),
        rate: rate.and_then(|f| f.rate()),
        limiter: limiter.and_then(|f| f.name("\"exchange\"").map(str::to_owned)),
        lan: table.take("lan").and_then(|f| f.bool()).unwrap_or(false),
        ca: table.take("ca").and_then(|f| authority_file(&f)),
        verify: table.take("verify").and_then(|f| f.bool()).unwrap_or(true),
        keep_alive: table.take("keep_alive").and_then(|f| f.bool()).unwrap_or(true),
    };
    table.finish("field", |word| match word {
        "hosts" | "origins" | "urls" | "url" | "to" => Some("write allow = [\"https://example.com\"]"),
        "insecure" | "tls" | "skip_verify" => Some("write verify = false to leave certificates unchecked"),
        "keepalive" | "pool" | "pooled" => Some("write keep_alive = false for a fresh connection each request"),
        "local" | "private" => Some("write lan = true for addresses of the local network"),
        _ => None,
    });
    Some((allow?, grant))
}

fn ping<'n>(field: &Field<'n>) -> Option<(Vec<Allowed<'n>>, PingGrant)> {
    let mut table = field.table("{ allow = [\"nas.lan\"] }")?;
    let allow = allow_list(&mut table, "[\"nas.lan\"]");
    let lan = table.take("lan").and_then(|f| f.bool()).unwrap_or(false);
    table.finish("field", |word| matches!(word, "hosts" | "addresses" | "to").then_some("write allow = [\"nas.lan\"]"));
    Some((allow?, PingGrant { allow: Vec::new(), lan }))
}

/// None: it is missing, or only defaults speak of the grant, and they allow nothing.
fn allow_list<'n>(table: &mut Reader<'n>, example: &str) -> Option<Vec<Allowed<'n>>> {
    match table.take("allow") {
        Some(field) => field.list(example).map(|items| items.iter().filter_map(allow::entry).collect()),
        None => {
            if table.written() {
                table.missing("allow", format!("write allow = {example}"));
            }
            None
        }
    }
}

/// A PEM file in the manifests folder or below it.
fn authority_file(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(1_024, "\"home-ca.pem\"")?;
    let outside = text.starts_with('/') || text.contains(['\\', '\0']) || text.split('/').any(|step| step == "..");
    if outside {
        field.complain("must stand in the manifests folder", Some("copy the file there and write its name: \"home-ca.pem\"".to_owned()));
    }
    (!outside).then(|| text.to_owned())
}

fn limiter(table: &mut Reader<'_>) -> Option<(Vec<String>, Vec<String>)> {
    let acquire = or_default(table.take("acquire"), Vec::new(), |f| names(f, "[\"name\"]"));
    let set_rate = or_default(table.take("set_rate"), Vec::new(), |f| names(f, "[\"name\"]"));
    Some((acquire?, set_rate?))
}

fn names(field: &Field<'_>, example: &str) -> Option<Vec<String>> {
    field.list_of(example, |item| item.name("\"name\"").map(str::to_owned))
}

/// `worker`, or `worker/item` for one item of `each`.
fn worker_name(field: &Field<'_>) -> Option<String> {
    let text = field.text("\"worker\"")?;
    match text.split_once('/') {
        Some((parent, item)) if name_fault(parent).is_none() && name_fault(item).is_none() => Some(text.to_owned()),
        _ => field.name("\"worker\"").map(str::to_owned),
    }
}
