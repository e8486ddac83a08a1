//! Faults of the URL poller that must not come along, as far as reconciling goes.

use skep::fleet::ApplyRequest;

use super::support::{Bench, invalid, steps, worker};

#[tokio::test]
async fn fault_duplicate_ids_start_two_workers() {
    let mut bench = Bench::with(&[("a.toml", &worker("twin", "1s")), ("b.toml", &(worker("twin", "2s") + &worker("other", "1s")))]).await;
    assert_eq!(bench.calls(), ["create twin"], "and nothing of the later file");
    assert!(bench.every("twin").contains("1s"));
    assert!(bench.said()[0].starts_with("b.toml:1") && bench.said()[0].contains("twin"), "{:?}", bench.said());

    // The file that was there first stands, whatever its name.
    bench.drop_file("0.toml", &worker("twin", "3s"));
    bench.until("the newcomer's problem", |status| status.problems.iter().any(|problem| problem.file == "0.toml")).await;
    assert!(bench.every("twin").contains("1s"));

    // Once the name is free, those who wait for it are looked at again.
    bench.remove_file("0.toml");
    bench.remove_file("a.toml");
    bench.until("the other file", |status| status.problems.is_empty()).await;
    assert!(bench.every("twin").contains("2s"));
    assert_eq!(bench.calls(), ["update twin", "create other"], "the name stays the same worker");

    let twice = bench.apply(&(worker("x", "1s") + &worker("x", "1s"))).await;
    assert!(invalid(twice)[0].starts_with("-:6"), "also within one text");
    assert_eq!(bench.names(), ["other", "twin"]);
}

#[tokio::test]
async fn fault_half_of_an_invalid_list_is_applied() {
    let bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    bench.calls();
    let text = worker("b", "1s") + &worker("a", "2s") + "[[worker]]\nname = \"c\"\nurls = 1\n" + &worker("d", "-1s");
    let problems = invalid(bench.apply(&text).await);
    assert!(problems.len() >= 3, "all errors at once: {problems:#?}");
    assert!(problems.iter().all(|problem| problem.starts_with("-:")), "on the text's own lines: {problems:#?}");
    assert_eq!(bench.calls(), [""; 0]);
    assert_eq!(bench.files(), ["a.toml"]);
    assert_eq!(bench.fleet().generation(), 1);
}

#[tokio::test]
async fn fault_an_update_changes_the_workers_identity() {
    let bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    let plan = bench.apply(&worker("a", "2s")).await.unwrap();
    assert_eq!(steps(&plan), ["update a schedule.every: 1s -> 2s"]);
    assert_eq!(bench.calls(), ["create a", "update a"]);
}

#[tokio::test]
async fn fault_an_empty_list_leaves_workers_behind() {
    let bench =
        Bench::with(&[("a.toml", &worker("a", "1s")), ("b.toml", &(worker("b", "1s") + "[[limiter]]\nname = \"l\"\nrate = \"1/s\"\n"))])
            .await;
    let empty = ApplyRequest { prune: true, ..ApplyRequest::default() };
    let plan = bench.fleet().apply(empty).await.unwrap();
    assert_eq!(steps(&plan), ["remove a", "remove b"]);
    assert_eq!(bench.names(), [""; 0]);
    assert_eq!(bench.files(), [""; 0], "files without tables and comments go too");
    assert!(bench.runner.limiters.lock().unwrap().is_empty());
}

#[tokio::test]
async fn fault_a_slow_worker_times_out_reconcile() {
    // The runner is told and never waited for: a thousand changes are one answer.
    let bench = Bench::with(&[]).await;
    let text: String = (0..1_000).map(|n| worker(&format!("w{n}"), "1s")).collect();
    let plan = bench.apply(&text).await.unwrap();
    assert_eq!(plan.steps.len(), 1_000);
    assert_eq!(bench.names().len(), 1_000, "when the answer comes, all of them are handed over");
}
