//! A disk without room while jobs run: pushes are told so, what is done in vain is done again, and nothing comes out twice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{admin, drained, ends_sound, output, outputs, queue};
use crate::{
    disk_full::{Disk, SMALL, on_tmpfs},
    support::{Host, eventually},
};

const NO_ROOM: &str = "no room is left on its disk";

#[test]
fn jobs_outlive_a_full_disk() {
    if !on_tmpfs("faults::full::the_scene") {
        println!("not shown here: it takes a tmpfs, which this user may not mount");
    }
}

fn push(host: &Host, name: &str, then: Value) -> (u16, Value) {
    admin(host, "queues/todo/jobs", &json!({ "payload": { "json": output(name, then) } }))
}

/// Takes the last of the room, in parts that get smaller, into another queue. Answers how many were answered for.
fn take_all(host: &Host) -> u64 {
    let mut taken = 0;
    for bytes in [200_000, 10_000, 1] {
        loop {
            let (status, said) = admin(host, "queues/ballast/jobs", &json!({ "payload": "x".repeat(bytes) }));
            if status != 200 {
                assert_eq!(status, 507, "{said}");
                assert!(said["error"].as_str().unwrap().contains(NO_ROOM), "{said}");
                break;
            }
            taken += 1;
        }
    }
    taken
}

#[test]
#[ignore = "run by the test above, on a small disk"]
fn the_scene() {
    if std::env::var(SMALL).is_err() {
        return;
    }
    let mut host = Host::with(&["probe"]);
    let manifest = "[[queue]]\nname = \"todo\"\nresult_ttl = \"1h\"\nbackoff = \"10ms\"\n\n[[worker]]\nname = \"doer\"\ncomponent = \"probe.wasm\"\n\
                    jobs = { queue = \"todo\", concurrency = 4 }\ngrants = { queue = { push = [\"out\"] } }\n";
    host.running("doer", manifest);
    let disk = Disk::here("tmpfs", host.data());
    let mut names = BTreeSet::new();
    for round in 0..2 {
        for n in 0..8 {
            let name = format!("round-{round}-{n}");
            assert_eq!(push(&host, &name, json!({ "do": "sleep", "ms": 2_000 })).0, 200);
            names.insert(name);
        }
        eventually("four in hand", || (queue(&host, "todo")["running"] == 4).then_some(()));
        let before = host.worker("doer").unwrap()["events"]["ok"].as_u64().unwrap();
        disk.fill(0);
        let ballast = take_all(&host);
        // Each way in says so, and says it at once.
        let said = host.fails(1, &["queue", "push", "todo", "x"]);
        assert!(said.contains(NO_ROOM), "{said}");
        let (status, said) = admin(&host, "kv/box/n/increment", &json!({}));
        assert!(status == 507 && said["error"].as_str().unwrap().contains(NO_ROOM), "{status} {said}");
        // Handlers come to their end, which nobody can write down.
        eventually("four done in vain", || (host.worker("doer").unwrap()["events"]["ok"].as_u64().unwrap() >= before + 4).then_some(()));
        let full = queue(&host, "todo");
        assert_eq!(full["done"], 8 * round, "nothing is done that isn't on disk: {full}");
        assert_eq!(super::open(&full), 8, "and nothing is lost: {full}");
        assert_eq!(queue(&host, "out")["waiting"].as_u64().unwrap_or_default(), 8 * round);
        if round == 1 {
            // Nor does a kill on a full disk lose any of it.
            host.kill();
        }
        disk.empty();
        if round == 1 {
            host.start();
        }
        let over = drained(&host, "todo");
        assert_eq!((&over["done"], &over["dead"]), (&json!(8 * (round + 1)), &json!(0)), "{over}");
        assert_eq!(outputs(&host, "out"), names);
        assert_eq!(queue(&host, "ballast")["waiting"].as_u64().unwrap_or_default(), ballast);
        // Room for the next round.
        if ballast > 0 {
            host.ok(&["queue", "purge", "ballast", "--state", "waiting"]);
        }
    }
    assert_eq!(push(&host, "after", json!("ok")).0, 200);
    drained(&host, "todo");
    ends_sound(host);
}
