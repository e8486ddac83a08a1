//! Components that are replaced, broken, taken back, pinned and deleted while workers run on them.

use std::{fs, io::Write, time::Duration};

use skep::{fleet::rollover::PROBATION, supervise::Fact};

use super::{
    fakes::digest_of,
    support::{Bench, POLLER, worker},
};

const SECOND: &str = "component schedule v2";
const THIRD: &str = "component schedule v3";

/// A worker on a component of its own.
fn on(name: &str, component: &str) -> String {
    worker(name, "1s").replace("poller.wasm", component)
}

async fn two_workers() -> Bench {
    Bench::with(&[("a.toml", &(worker("a", "1s") + &worker("b", "1s"))), ("c.toml", &on("c", "other.wasm"))]).await
}

impl Bench {
    fn runs(&self, name: &str, text: &str) -> bool {
        self.running(name).order.spec.name.as_ref() == name
            && *skep::fleet::Part::digest(&*self.running(name).order.component) == digest_of(text)
    }

    fn held_back(&self, name: &str) -> String {
        self.running(name).order.held_back.as_deref().unwrap_or_default().to_owned()
    }

    async fn until_runs(&mut self, name: &str, text: &str) {
        let digest = digest_of(text);
        self.until(text, |status| status.desired.unit(name).is_some_and(|unit| unit.digest == digest)).await;
    }
}

#[tokio::test]
async fn a_replaced_component_rolls_its_workers_and_nobody_else() {
    let mut bench = Bench::new();
    bench.plugin("other.wasm", "component schedule other");
    bench.drop_file("a.toml", &(worker("a", "1s") + &worker("b", "1s") + &on("c", "other.wasm")));
    bench.start().await;
    bench.calls();
    bench.plugin("poller.wasm", SECOND);
    bench.until_runs("b", SECOND).await;
    assert_eq!(bench.calls(), ["update a", "update b"]);
    assert!(bench.runs("a", SECOND));
    assert_eq!(bench.events("component.rolled").len(), 1);
    assert_eq!(bench.events("fleet.applied").last().unwrap(), "2 rolled, 1 unchanged");

    bench.plugin("poller.wasm", SECOND);
    bench.barrier().await;
    assert_eq!(bench.calls(), [""; 0], "the same bytes are no news");
}

#[tokio::test]
async fn a_half_written_component_is_waited_for_and_a_broken_one_is_told() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    bench.calls();
    let mut file = fs::File::create(bench.dir.path().join("plugins/poller.wasm")).unwrap();
    file.write_all(b"comp").unwrap();
    bench.barrier().await;
    assert!(bench.said().is_empty() && bench.runs("a", POLLER), "half a file is not looked at");
    drop(file);
    bench.until("the problem", |status| !status.problems.is_empty()).await;
    let said = bench.said();
    assert!(
        said[0].starts_with("a.toml:1: worker \"a\": component: poller.wasm is text, not a WebAssembly component; sha256:"),
        "{said:?}"
    );
    assert!(said[0].contains("keeps running"));
    assert!(bench.held_back("a").contains("not a WebAssembly component") && bench.runs("a", POLLER));
    assert_eq!(bench.running("a").incarnation, 1);
    bench.plugin("poller.wasm", SECOND);
    bench.until_runs("a", SECOND).await;
    assert_eq!((bench.held_back("a").as_str(), bench.said().len(), bench.running("a").incarnation), ("", 0, 2));
}

#[tokio::test]
async fn new_bytes_that_crash_are_taken_back_and_not_tried_again_until_the_file_changes() {
    let mut bench = two_workers().await;
    bench.plugin("poller.wasm", SECOND);
    bench.until_runs("b", SECOND).await;
    let facts = bench.runner.facts.clone();
    facts.send(Fact::Quarantined { worker: "b".into(), digest: digest_of(POLLER) }).unwrap();
    facts.send(Fact::Quarantined { worker: "b".into(), digest: digest_of(SECOND) }).unwrap();
    bench.until_runs("a", POLLER).await;
    assert!(bench.runs("b", POLLER), "all its workers go back");
    assert!(bench.held_back("a").contains("was taken back: worker \"b\" was quarantined on it"), "{}", bench.held_back("a"));
    assert_eq!(bench.events("component.rolled-back").len(), 1);
    bench.calls();

    bench.plugin("poller.wasm", SECOND);
    bench.barrier().await;
    assert_eq!(bench.calls(), [""; 0], "a touched file is the same file");
    bench.restart().await;
    assert!(bench.runs("a", POLLER), "also after a restart");

    bench.plugin("poller.wasm", THIRD);
    bench.until_runs("a", THIRD).await;
    assert_eq!(bench.held_back("a"), "");
    facts.send(Fact::Failed { worker: "a".into(), digest: digest_of(THIRD), reason: "no config".into() }).ok();
    bench.runner.facts.send(Fact::Failed { worker: "a".into(), digest: digest_of(THIRD), reason: "no config".into() }).unwrap();
    bench.until_runs("a", POLLER).await;
    assert!(bench.held_back("b").contains("worker \"a\" failed on it: no config"), "{}", bench.held_back("b"));
}

#[tokio::test]
async fn bytes_that_ran_for_ten_minutes_stay() {
    let mut bench = two_workers().await;
    bench.plugin("poller.wasm", SECOND);
    bench.until_runs("a", SECOND).await;
    tokio::time::pause();
    tokio::time::advance(PROBATION + Duration::from_secs(1)).await;
    tokio::time::resume();
    bench.runner.facts.send(Fact::Quarantined { worker: "a".into(), digest: digest_of(SECOND) }).unwrap();
    bench.barrier().await;
    assert!(bench.runs("a", SECOND));
    assert_eq!(bench.events("component.rolled-back"), [""; 0]);
}

#[tokio::test]
async fn bytes_replaced_while_the_host_was_down_can_be_taken_back_too() {
    let mut bench = two_workers().await;
    bench.fleet().stop().await;
    bench.plugin("poller.wasm", SECOND);
    bench.start().await;
    assert!(bench.runs("a", SECOND));
    bench.runner.facts.send(Fact::Quarantined { worker: "a".into(), digest: digest_of(SECOND) }).unwrap();
    bench.until_runs("a", POLLER).await;
}

#[tokio::test]
async fn a_deleted_component_keeps_running_also_over_a_restart() {
    let mut bench = two_workers().await;
    fs::remove_file(bench.dir.path().join("plugins/poller.wasm")).unwrap();
    bench.until("the problem", |status| status.problems.iter().any(|problem| problem.file == "a.toml")).await;
    assert_eq!(bench.running("a").incarnation, 1);
    assert!(bench.held_back("a").contains("poller.wasm is not in the plugins folder; sha256:"), "{}", bench.held_back("a"));
    bench.restart().await;
    assert!(bench.runs("a", POLLER) && bench.held_back("a").contains("is not in the plugins folder"));
    bench.drop_file("a.toml", &(worker("a", "2s") + &worker("b", "1s")));
    bench
        .until("the strict look", |status| {
            status.problems.iter().any(|problem| problem.file == "a.toml" && problem.message.contains("the same for 1 more"))
        })
        .await;
    assert!(bench.every("a").contains("1s"), "a new text needs its component");
    bench.plugin("poller.wasm", POLLER);
    bench.until("the component's return", |status| status.problems.iter().all(|problem| problem.file != "a.toml")).await;
    assert!(bench.every("a").contains("2s"));
    assert_eq!(bench.held_back("a"), "");
}

#[tokio::test]
async fn a_missing_component_is_waited_for() {
    let mut bench = Bench::with(&[("a.toml", &(worker("a", "1s") + &on("late", "late.wasm")))]).await;
    assert_eq!(bench.names(), [""; 0], "nothing of that file is applied");
    let said = bench.said();
    assert!(said[0].starts_with("a.toml:5: worker \"late\": component: late.wasm is not in the plugins folder"), "{said:?}");
    assert!(said[0].contains("name one that is there: poller.wasm"), "{said:?}");
    bench.plugin("late.wasm", "component schedule late");
    bench.until("the component", |status| status.problems.is_empty()).await;
    assert_eq!(bench.names(), ["a", "late"]);
    assert!(bench.said().is_empty());
}

#[tokio::test]
async fn a_component_put_there_a_moment_before_its_manifest_is_found() {
    let bench = Bench::with(&[]).await;
    assert!(bench.apply(&on("x", "x.wasm")).await.is_err());
    bench.plugin("x.wasm", "component schedule x");
    assert!(bench.apply(&on("x", "x.wasm")).await.unwrap().applied);
}

#[tokio::test]
async fn a_component_outside_the_plugins_folder_is_refused() {
    let bench = Bench::with(&[]).await;
    let outcome = bench.apply(&on("x", "../plugins/poller.wasm")).await;
    assert!(outcome.is_err(), "{outcome:?}");
}

#[tokio::test]
async fn a_manifest_and_its_component_may_change_together() {
    let plain = |name: &str| format!("[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\ninstance = \"resident\"\n");
    let mut bench = Bench::new();
    bench.plugin("poller.wasm", "component v0");
    bench.drop_file("a.toml", &plain("a"));
    bench.start().await;
    bench.drop_file("a.toml", &worker("a", "1s"));
    bench.until("the refusal", |status| !status.problems.is_empty()).await;
    assert!(bench.said()[0].contains("schedule needs the export schedule-handler"), "{:?}", bench.said());
    bench.plugin("poller.wasm", SECOND);
    bench.until("both", |status| status.problems.is_empty()).await;
    assert_eq!(bench.running("a").incarnation, 2, "one update for both");
    assert!(bench.every("a").contains("1s") && bench.runs("a", SECOND));

    bench.plugin("poller.wasm", "component v0");
    bench.until("the refusal", |status| !status.problems.is_empty()).await;
    assert!(bench.held_back("a").contains("can't serve worker \"a\"") && bench.runs("a", SECOND));
    bench.drop_file("a.toml", &plain("a"));
    bench.until("both again", |status| status.problems.is_empty()).await;
    assert!(bench.runs("a", "component v0"));
}

#[tokio::test]
async fn a_pin_holds_its_worker_on_the_pinned_bytes() {
    let pinned = |text: &str| worker("p", "1s") + &format!("digest = \"{}\"\n", digest_of(text));
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s")), ("p.toml", &pinned(POLLER))]).await;
    bench.plugin("poller.wasm", SECOND);
    bench.until_runs("a", SECOND).await;
    assert!(bench.runs("p", POLLER));
    let said = bench.said();
    assert!(said[0].contains("worker \"p\": digest: poller.wasm has sha256:") && said[0].contains("not the pinned"), "{said:?}");
    bench.restart().await;
    assert!(bench.runs("p", POLLER), "the kept bytes serve it");
    bench.drop_file("p.toml", &pinned(SECOND));
    bench.until_runs("p", SECOND).await;
    assert!(bench.said().is_empty());
}
