//! Permissions as written → checked. The one place that knows how each capability is granted.
//!
//! Must not decide about a request: that is the capabilities' business, with what is built here.

use super::{
    allow::{self, Allowed},
    hints::moved_grant,
    reader::{Field, Reader},
    spec::{Destination, Grants, HttpGrant, PingGrant},
    tree::Node,
    triggers::{method, optional, or_default, path, small_table, topic},
};

/// Grants whose `config:` entries still wait for a config: each item of `each` has its own.
#[derive(Debug, Default)]
pub(super) struct Draft<'n> {
    http: Option<(Vec<Allowed<'n>>, HttpGrant)>,
    ping: Option<(Vec<Allowed<'n>>, PingGrant)>,
    rest: Grants,
}

pub(super) fn draft<'n>(field: &Field<'n>) -> Option<Draft<'n>> {
    let mut table = field.table("{ http = { allow = [\"https://example.com\"] } }")?;
    let http = optional(table.take("http"), http);
    let ping = optional(table.take("ping"), ping);
    let queue_push = or_default(table.take("queue"), Vec::new(), |f| {
        small_table(f, "{ push = [\"todo\"] }", |t| {
            t.need("push", "[\"todo\"]").and_then(|f| names(&f, "[\"todo\"]"))
        })
    });
    let kv = or_default(table.take("kv"), Vec::new(), |f| names(f, "[\"bucket\"]"));
    let call = or_default(table.take("call"), Vec::new(), |f| f.list_of("[\"worker\"]", worker_name));
    let limiter = or_default(table.take("limiter"), (Vec::new(), Vec::new()), |f| {
        small_table(f, "{ acquire = [\"name\"] }", limiter)
    });
    let publish = or_default(table.take("publish"), Vec::new(), |f| f.list_of("[\"checks.*\"]", topic));
    table.finish(|word| moved_grant(word).or(Some("capabilities are http, ping, queue, kv, call, limiter and publish")));
    let (limiter_acquire, limiter_set_rate) = limiter?;
    let rest = Grants {
        http: None,
        ping: None,
        queue_push: queue_push?,
        kv: kv?,
        call: call?,
        limiter_acquire,
        limiter_set_rate,
        publish: publish?,
    };
    Some(Draft {
        http: http?.flatten(),
        ping: ping?.flatten(),
        rest,
    })
}

impl Draft<'_> {
    /// Fills in what `config:` entries find in `config`.
    pub fn resolve(&self, config: &Node<'_>) -> Option<Grants> {
        let http = self.http.as_ref().map(|(entries, grant)| {
            Some(HttpGrant {
                allow: allow::resolve(entries, config)?,
                ..grant.clone()
            })
        });
        let ping = self.ping.as_ref().map(|(entries, grant)| {
            Some(PingGrant {
                allow: allow::resolve(entries, config)?,
                ..grant.clone()
            })
        });
        Some(Grants {
            http: match http {
                Some(grant) => Some(grant?),
                None => None,
            },
            ping: match ping {
                Some(grant) => Some(grant?),
                None => None,
            },
            ..self.rest.clone()
        })
    }
}

/// The outer None: a problem is reported. The inner: only defaults speak of it, and they allow nothing.
fn http<'n>(field: &Field<'n>) -> Option<Option<(Vec<Allowed<'n>>, HttpGrant)>> {
    let mut table = field.table("{ allow = [\"https://example.com\"] }")?;
    let allow = allow_list(&mut table, "[\"https://example.com\"]");
    let methods = or_default(table.take("methods"), Vec::new(), |f| f.list_of("[\"GET\"]", method));
    let paths = or_default(table.take("paths"), Vec::new(), |f| f.list_of("[\"/api\"]", path));
    let rate_field = table.take("rate");
    let limiter_field = table.take("limiter");
    if let (Some(_), Some(both)) = (&rate_field, &limiter_field) {
        both.complain(
            "rate and limiter can't stand together",
            Some("keep one: the limiter has a rate of its own".to_owned()),
        );
    }
    let rate = optional(rate_field, |f| f.rate());
    let limiter = optional(limiter_field, |f| f.name("\"exchange\"").map(str::to_owned));
    let lan = or_default(table.take("lan"), false, |f| f.bool());
    let ca = optional(table.take("ca"), authority_file);
    let verify = or_default(table.take("verify"), true, |f| f.bool());
    let keep_alive = or_default(table.take("keep_alive"), true, |f| f.bool());
    table.finish(|word| match word {
        "hosts" | "origins" | "urls" | "url" | "to" => Some("write allow = [\"https://example.com\"]"),
        "insecure" | "tls" | "skip_verify" => Some("write verify = false to leave certificates unchecked"),
        "keepalive" | "pool" | "pooled" => Some("write keep_alive = false for a fresh connection each request"),
        "local" | "private" => Some("write lan = true for addresses of the local network"),
        _ => None,
    });
    let grant = HttpGrant {
        allow: Vec::<Destination>::new(),
        methods: methods?,
        paths: paths?,
        rate: rate?,
        limiter: limiter?,
        lan: lan?,
        ca: ca?,
        verify: verify?,
        keep_alive: keep_alive?,
    };
    Some(allow?.map(|entries| (entries, grant)))
}

fn ping<'n>(field: &Field<'n>) -> Option<Option<(Vec<Allowed<'n>>, PingGrant)>> {
    let mut table = field.table("{ allow = [\"nas.lan\"] }")?;
    let allow = allow_list(&mut table, "[\"nas.lan\"]");
    let lan = or_default(table.take("lan"), false, |f| f.bool());
    table.finish(|word| matches!(word, "hosts" | "addresses" | "to").then_some("write allow = [\"nas.lan\"]"));
    let grant = PingGrant {
        allow: Vec::new(),
        lan: lan?,
    };
    Some(allow?.map(|entries| (entries, grant)))
}

fn allow_list<'n>(table: &mut Reader<'n>, example: &str) -> Option<Option<Vec<Allowed<'n>>>> {
    match table.take("allow") {
        Some(field) => field.list_of(example, allow::entry).map(Some),
        None if table.written() => {
            table.missing("allow", format!("write allow = {example}"));
            None
        }
        None => Some(None),
    }
}

/// A PEM file in the manifests folder or below it.
fn authority_file(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(1_024, "\"home-ca.pem\"")?;
    let outside = text.starts_with('/') || text.contains(['\\', '\0']) || text.split('/').any(|step| step == "..");
    if outside {
        field.complain(
            "must stand in the manifests folder",
            Some("copy the file there and write its name: \"home-ca.pem\"".to_owned()),
        );
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
        Some((parent, item)) if super::hints::name_fault(parent).is_none() && super::hints::name_fault(item).is_none() => {
            Some(text.to_owned())
        }
        _ => field.name("\"worker\"").map(str::to_owned),
    }
}
