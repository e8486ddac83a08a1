//! Whose a path is: against a slow and obvious model; routes that two workers want.

use std::sync::Arc;

use proptest::prelude::*;
use skep::{
    manifest::{Parser, check_all},
    trigger::ingress::table::{Table, climbs},
};

/// Segment by segment, the longest one, the newest of equals.
fn model<'r>(routes: &'r [(String, usize)], path: &str) -> Option<&'r usize> {
    let segments = |path: &str| -> Vec<String> { path.trim_end_matches('/').split('/').map(str::to_owned).collect() };
    let asked: Vec<String> = path.split('/').map(str::to_owned).collect();
    let covering = routes.iter().filter(|(route, _)| asked.starts_with(&segments(route)));
    covering.max_by_key(|(route, target)| (segments(route).len(), *target)).map(|(_, target)| target)
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof!["[ab]{0,2}", "%61|a%2fb|metrics|metricsx"];
    proptest::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_longest_route_by_segment_wins(
        routes in proptest::collection::vec(path(), 0..12),
        gone in proptest::collection::vec(any::<bool>(), 12),
        paths in proptest::collection::vec(path(), 1..12),
    ) {
        let mut table = Table::default();
        for (target, route) in routes.iter().enumerate() {
            table.add(route, target);
        }
        let mut left = Vec::new();
        for (target, route) in routes.into_iter().enumerate() {
            if gone[target] { table.remove(&route, |one| *one == target) } else { left.push((route, target)) }
        }
        for path in paths {
            prop_assert_eq!(table.find(&path), model(&left, &path), "{} in {:?}", path, left);
        }
    }
}

#[test]
fn routes_cover_by_segment() {
    let mut table = Table::default();
    for route in ["/metrics", "/metrics/query/", "/"] {
        table.add(route, route);
    }
    for (path, route) in [
        ("/metrics", "/metrics"),
        ("/metrics/", "/metrics"),
        ("/metrics/x/y", "/metrics"),
        ("/metrics/query", "/metrics/query/"),
        ("/metrics/query/a", "/metrics/query/"),
        ("/metricsx", "/"),
        // Compared as it came.
        ("/%6detrics", "/"),
        ("/", "/"),
    ] {
        assert_eq!(table.find(path), Some(&route), "{path}");
    }
    assert_eq!(table.find("*"), None);
    assert_eq!(table.find(""), Some(&"/"), "an absolute URL without a path means its root");
    // Long paths cost what the routes are long.
    assert_eq!(table.find(&"/metrics".repeat(8_000)), Some(&"/metrics"));
}

#[test]
fn dot_segments_are_seen_however_they_are_written() {
    for path in ["/a/../b", "/./a", "/a/..", "/%2e%2E/a", "/.%2e", "/a/%2e"] {
        assert!(climbs(path), "{path}");
    }
    for path in ["/a.b/..c", "/...", "/a/%2e%2e%2e", "/", "/.well-known/x", "/%20."] {
        assert!(!climbs(path), "{path}");
    }
}

#[test]
fn a_route_that_two_workers_want_is_refused_with_both_places() {
    let worker =
        |name: &str, routes: &str| format!("[[worker]]\nname = \"{name}\"\ncomponent = \"c.wasm\"\nhttp = {{ routes = {routes} }}\n");
    let files = [
        ("a.toml", worker("first", "[\"/a\", \"/b/\", \"/b\"]")),
        ("b.toml", format!("\n\n{}{}", worker("second", "[\"/c\"]"), worker("third", "[\"/c/d\", \"/b\"]"))),
    ];
    let specs: Vec<_> = files
        .iter()
        .map(|(file, text)| (Arc::<str>::from(*file), Parser::new(None).parse(file, text).spec.expect("each file alone is fine")))
        .collect();
    let all: Vec<_> = specs.iter().map(|(file, spec)| (file.clone(), spec)).collect();
    let said: Vec<String> = check_all(&all).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["b.toml:7: worker \"third\": http.routes: the route \"/b\" is already taken by worker \"first\" at a.toml:1 \
          (hint: give one of them another route)"]
    );
}

#[test]
fn items_of_one_each_cannot_share_routes() {
    let text = "[[worker]]\nname = \"w\"\ncomponent = \"c.wasm\"\neach = \"items\"\nhttp = { routes = [\"/w\"] }\n\
                [[worker.config.items]]\nname = \"a\"\n[[worker.config.items]]\nname = \"b\"\n[[worker.config.items]]\nname = \"c\"\n";
    let spec = Parser::new(None).parse("w.toml", text).spec.unwrap();
    let said: Vec<String> = check_all(&[("w.toml".into(), &spec)]).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["w.toml:1: worker \"w\": http.routes: every item of \"w\" would have the route \"/w\", and a request goes to one worker only \
          (hint: give the routes to a worker without each, and let it call the items)"]
    );
}
