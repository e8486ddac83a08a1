//! Large fleets through the real binary: counts, not times (benches/table measures those).

use crate::support::{Host, eventually};

#[test]
fn ten_thousand_residents_run_at_once_within_the_kernels_default_map_count() {
    const RESIDENTS: usize = 10_000;
    let host = Host::folders(&["echo"]);
    let text: String = (0..RESIDENTS).map(|n| format!("[[worker]]\nname = \"r-{n}\"\ncomponent = \"echo.wasm\"\n")).collect();
    host.drop_manifest("fleet.toml", &text);
    let host = host.started();
    let metrics = || host.workers().iter().filter(|worker| worker["replicas"]["running"] == 1).count();
    eventually("all run", || (metrics() == RESIDENTS).then_some(()));
    assert_eq!(host.ok(&["call", "r-9999", "echo", "still there"]).trim_end(), "still there");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", host.pid())).unwrap().lines().count();
    // vm.max_map_count is 65,530 unless somebody raised it.
    assert!(maps < 48_000, "{maps} mappings");
}

#[test]
fn one_change_among_ten_thousand_touches_exactly_one() {
    const WORKERS: usize = 10_000;
    let worker = |n: usize, every: &str| {
        format!("[[worker]]\nname = \"w-{n}\"\ncomponent = \"echo.wasm\"\nschedule = {{ every = \"{every}\" }}\n\n")
    };
    let host = Host::folders(&["echo"]);
    host.drop_manifest("fleet.toml", &(0..WORKERS).map(|n| worker(n, "24h")).collect::<String>());
    let host = host.started();
    let before = host.workers();
    assert_eq!(before.len(), WORKERS);
    host.drop_manifest("fleet.toml", &(0..WORKERS).map(|n| worker(n, if n == 5_000 { "23h" } else { "24h" })).collect::<String>());
    host.worker_when("w-5000", "changed", |worker| worker["schedule"]["every"] == "23h" && worker["state"] == "running");
    let after = host.workers();
    let touched: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| ["incarnation", "since"].iter().any(|fact| before[fact] != after[fact]))
        .collect();
    assert_eq!(touched.len(), 1, "{touched:#?}");
    assert_eq!(touched[0].1["name"], "w-5000");
}
