//! Which worker a path belongs to: the longest route that covers it, segment by segment.
//!
//! Paths are compared as they came: percent-encoded text stays so. Pure; must not know requests or workers.

use std::collections::HashMap;

/// Routes and what they lead to.
#[derive(Debug, Clone)]
pub struct Table<T> {
    /// While workers change hands a route may have two claims; the newest counts.
    routes: HashMap<Box<[u8]>, Vec<T>>,
    /// Bytes of the longest route so far: nothing longer is looked up.
    longest: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { routes: HashMap::new(), longest: 0 }
    }
}

impl<T> Table<T> {
    pub fn add(&mut self, route: &str, target: T) {
        let key = key(route).as_bytes();
        self.longest = self.longest.max(key.len());
        self.routes.entry(key.into()).or_default().push(target);
    }

    /// Takes back the claims on a route that `is` says yes to.
    pub fn remove(&mut self, route: &str, is: impl Fn(&T) -> bool) {
        let key = key(route).as_bytes();
        if let Some(claims) = self.routes.get_mut(key) {
            claims.retain(|claim| !is(claim));
            if claims.is_empty() {
                self.routes.remove(key);
            }
        }
    }

    /// `/metrics` covers `/metrics`, `/metrics/` and `/metrics/query`, not `/metricsx`. `/` covers every path.
    pub fn find(&self, path: &str) -> Option<&T> {
        let path = path.as_bytes();
        let mut end = path.len();
        loop {
            let head = path.get(..end)?;
            if end <= self.longest
                && let Some(found) = self.routes.get(head).and_then(|claims| claims.last())
            {
                return Some(found);
            }
            end = head.iter().rposition(|byte| *byte == b'/')?;
        }
    }
}

/// Two routes with one key are the same: a slash at the end makes no other route.
pub fn key(route: &str) -> &str {
    route.trim_end_matches('/')
}

/// Whether a segment is `.` or `..`, percent-encoded or not: such a path means another one to whoever resolves it.
pub fn climbs(path: &str) -> bool {
    path.contains('.') && path.split('/').any(dots) || path.contains('%') && path.split('/').any(|segment| dots(&decoded(segment)))
}

fn dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn decoded(segment: &str) -> String {
    // Longer ones are no dots, however they are written.
    if segment.len() > "%2e%2e".len() { String::new() } else { segment.to_ascii_lowercase().replace("%2e", ".") }
}
