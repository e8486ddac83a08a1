//! A fault plugin for tests: an HTTP worker that answers in every way, most of them wrong. The path's last segment says how, the
//! query how much: `/any/drip?n=3&ms=10`.
//!
//! Like any other HTTP component: nothing of skep's in it. Must not be deployed for anything else.

mod answer;
mod ask;

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use answer::{Answer, body_of};
use bindings::{
    exports::wasi::http::incoming_handler::Guest,
    wasi::{
        clocks::monotonic_clock,
        http::types::{ErrorCode, IncomingRequest, ResponseOutparam},
    },
};

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:unruly;

            world unruly {
                include skep:worker/web-client@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        generate_all,
    });
}

/// Requests of this instance.
static COUNT: AtomicU64 = AtomicU64::new(0);

struct Web;

impl Guest for Web {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let (n, ms) = (number("n"), number("ms"));
        match path.rsplit('/').next().unwrap_or_default() {
            "trap" => trap(),
            "spin" => spin(),
            "silent" => {}
            "error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("as asked".into())))),
            "status" => Answer::head(out, u16::try_from(n).unwrap_or(500), &[]).finish(),
            "slow" => {
                pause(ms);
                text(out, "slow");
            }
            // The head and a part of the body, then a crash.
            "cut" => {
                let mut answer = Answer::head(out, 200, &[]);
                answer.write(b"so far so good");
                pause(ms);
                trap();
            }
            // A whole answer, then a crash: its body has no end of its own.
            "late" => {
                let mut answer = Answer::head(out, 200, &[]);
                answer.write(b"all of it");
                answer.finish();
                pause(ms);
                trap();
            }
            "stuck" => {
                let mut answer = Answer::head(out, 200, &[]);
                answer.write(b"so far so good");
                spin();
            }
            "drip" => {
                let mut answer = Answer::head(out, 200, &[]);
                for piece in 0..n {
                    answer.write(format!("{piece}\n").as_bytes());
                    pause(ms);
                }
                answer.finish();
            }
            "big" => {
                let mut answer = Answer::head(out, 200, &[]);
                let piece = [b'x'; 4096];
                let mut left = usize::try_from(n).unwrap_or(usize::MAX);
                while left > 0 && answer.write(piece.get(..left.min(piece.len())).unwrap_or_default()) {
                    left = left.saturating_sub(piece.len());
                }
                answer.finish();
            }
            // Promises more than it sends.
            "short" => {
                let mut answer = Answer::head(out, 200, &[("content-length", "100")]);
                answer.write(b"not a hundred");
            }
            "count" => text(out, &count.to_string()),
            "read" => match body_of(&request) {
                Ok(body) => text(out, &body.len().to_string()),
                Err(reason) => text(out, &format!("unreadable: {reason}")),
            },
            "headers" => text(out, &headers(&request)),
            "forward" => text(out, &ask::get(parameter(query, "url").unwrap_or_default())),
            _ => text(out, path),
        }
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn headers(request: &IncomingRequest) -> String {
    let authority = request.authority().unwrap_or_default();
    let fields = request.headers().entries().into_iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    std::iter::once(format!("authority: {authority}\n")).chain(fields).collect()
}

fn text(out: ResponseOutparam, text: &str) {
    let mut answer = Answer::head(out, 200, &[("content-type", "text/plain"), ("x-web", "yes")]);
    answer.write(text.as_bytes());
    answer.finish();
}

fn pause(ms: u64) {
    if ms > 0 {
        monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block();
    }
}

#[inline(never)]
fn trap() {
    std::process::abort();
}

#[inline(never)]
fn spin() {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Web;
    crate::bindings::export!(Web with_types_in crate::bindings);
}
