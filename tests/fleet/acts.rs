//! Apply, delete, pause, scale, undo: each is an edit of the folder that a person could have made.

use std::{fs, path::PathBuf, sync::Arc};

use skep::{
    fleet::{ApplyRequest, FleetError},
    store::{Store, StoreSettings},
};

use super::support::{Bench, conflict, invalid, steps, worker};

const COMMENTED: &str = "# Watches.\n\n# The first.\n[[worker]]\nname = \"a\" # its id\ncomponent = \"poller.wasm\"\nschedule = { every = \"1s\" }\n\n# The second.\n[[worker]]\nname = \"b\"\ncomponent = \"poller.wasm\"\nschedule = { every = \"1s\" }\n\n# The end.\n";

#[tokio::test]
async fn apply_replaces_a_worker_where_it_stands_and_keeps_comments() {
    let mut bench = Bench::with(&[("watch.toml", COMMENTED)]).await;
    bench.calls();
    let plan = bench.apply(&worker("b", "5s")).await.unwrap();
    assert_eq!(steps(&plan), ["update b schedule.every: 1s -> 5s"]);
    assert_eq!((plan.generation, plan.applied, plan.unchanged, plan.files), (2, true, 1, vec!["watch.toml".to_owned()]));
    let (before, after) = COMMENTED.split_at(COMMENTED.rfind("\"1s\"").unwrap());
    assert_eq!(bench.text("watch.toml"), format!("{before}{}", after.replacen("1s", "5s", 1)));
    assert_eq!(bench.calls(), ["update b"]);
    bench.barrier().await;
    assert_eq!(bench.calls(), [""; 0], "the echo of its own write changes nothing");
}

#[tokio::test]
async fn new_workers_go_to_the_set_or_a_file_of_their_own() {
    let mut bench = Bench::with(&[]).await;
    let set = |set: &str, text: &str| ApplyRequest { text: text.to_owned(), set: Some(set.to_owned()), ..ApplyRequest::default() };
    bench.apply(&worker("alone", "1s")).await.unwrap();
    assert_eq!(bench.files(), ["alone.toml"]);
    bench.apply(&(worker("x", "1s") + &worker("y", "1s"))).await.unwrap();
    assert_eq!(bench.files(), ["alone.toml", "applied.toml"]);
    let text = "# Mine.\n".to_owned() + &worker("m", "1s");
    bench.fleet().apply(set("mine", &text)).await.unwrap();
    assert_eq!(bench.text("mine.toml"), text, "a new file is the text as it was written");
    bench.fleet().apply(set("mine.toml", &(worker("n", "1s") + &worker("m", "2s")))).await.unwrap();
    assert_eq!(bench.text("mine.toml"), format!("# Mine.\n{}\n{}", worker("m", "2s"), worker("n", "1s")));
    assert_eq!(bench.names(), ["alone", "m", "n", "x", "y"]);
    for bad in ["../up", "", ".hidden", "a/b"] {
        assert!(invalid(bench.fleet().apply(set(bad, &text)).await)[0].contains("can't be the name of an apply set"));
    }
    bench.barrier().await;
}

#[tokio::test]
async fn a_dry_run_and_a_repetition_write_nothing() {
    let bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    bench.calls();
    let text = worker("a", "2s") + &worker("b", "1s");
    let plan = bench.fleet().apply(ApplyRequest { text, dry_run: true, ..ApplyRequest::default() }).await.unwrap();
    assert_eq!(steps(&plan), ["update a schedule.every: 1s -> 2s", "create b"]);
    assert_eq!((plan.generation, plan.applied), (1, false));
    assert_eq!(plan.files, ["a.toml", "applied.toml"], "what would be written");
    let plan = bench.apply(&worker("a", "1s")).await.unwrap();
    assert_eq!((plan.generation, plan.applied, plan.unchanged, plan.steps.len(), plan.files.len()), (1, false, 1, 0, 0));
    assert_eq!((bench.calls().len(), bench.files()), (0, vec!["a.toml".to_owned()]));
}

#[tokio::test]
async fn problems_of_an_apply_name_its_own_lines() {
    let bench = Bench::with(&[("watch.toml", COMMENTED)]).await;
    let text = worker("new", "1s") + "\n" + &worker("b", "0s") + "\n" + &worker("c", "1s").replace("poller", "polar");
    let problems = invalid(bench.apply(&text).await);
    assert!(problems[0].starts_with("-:9") && problems[0].contains("schedule.every"), "{problems:#?}");
    let missing = invalid(bench.apply(&worker("c", "1s").replace("poller", "polle")).await);
    assert_eq!(missing, ["-:1: worker \"c\": component: polle.wasm is not in the plugins folder (hint: did you mean \"poller.wasm\"?)"]);
    let broken = invalid(bench.apply("[[worker]\nname = ").await);
    assert!(broken[0].starts_with("-:1"), "{broken:#?}");
    assert!(invalid(bench.apply("name = \"a\"\n").await)[0].starts_with("-:1"));
    assert_eq!(bench.text("watch.toml"), COMMENTED);
}

#[tokio::test]
async fn prune_removes_all_that_the_text_does_not_declare() {
    let bench = Bench::with(&[("watch.toml", COMMENTED), ("c.toml", &worker("c", "1s"))]).await;
    let plan = bench.fleet().apply(ApplyRequest { text: worker("b", "1s"), prune: true, ..ApplyRequest::default() }).await.unwrap();
    assert_eq!(steps(&plan), ["remove c", "remove a"]);
    assert_eq!(bench.files(), ["watch.toml"]);
    let left = bench.text("watch.toml");
    assert!(left.starts_with("# Watches.\n") && left.contains("# The second.\n[[worker]]") && left.ends_with("# The end.\n"), "{left}");
    assert!(!left.contains("\"a\""), "{left}");
}

#[tokio::test]
async fn an_apply_into_a_broken_file_is_refused_with_that_files_problems() {
    let mut bench = Bench::with(&[("a.toml", &(worker("a", "1s") + &worker("b", "1s")))]).await;
    bench.drop_file("a.toml", &(worker("a", "1s") + &worker("b", "0s")));
    bench.until("the problem", |status| !status.problems.is_empty()).await;
    assert!(invalid(bench.apply(&worker("a", "2s")).await)[0].starts_with("a.toml:8"));
    bench.apply(&worker("b", "3s")).await.unwrap();
    assert_eq!(bench.said(), [""; 0], "applying the broken one mends the file");
    fs::write(bench.manifests().join("a.toml"), b"# caf\xe9").unwrap();
    bench.until("the problem", |status| !status.problems.is_empty()).await;
    let prune = ApplyRequest { prune: true, ..ApplyRequest::default() };
    assert!(conflict(bench.fleet().apply(prune).await).starts_with("a.toml is broken on disk, so \"a\" can't be pruned from it"));
    assert_eq!(bench.names(), ["a", "b"]);
}

#[tokio::test]
async fn what_changed_on_disk_a_moment_ago_is_not_overwritten() {
    let bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    bench.drop_file("a.toml", &("# Note.\n".to_owned() + &worker("a", "1s") + &worker("b", "1s")));
    bench.apply(&worker("a", "2s")).await.unwrap();
    assert_eq!(bench.text("a.toml"), "# Note.\n".to_owned() + &worker("a", "2s") + &worker("b", "1s"));
    assert_eq!(bench.names(), ["a", "b"]);
}

#[tokio::test]
async fn delete_takes_a_worker_out_of_its_file() {
    let bench = Bench::with(&[("watch.toml", COMMENTED), ("c.toml", &worker("c", "1s"))]).await;
    let dry = bench.fleet().delete_worker("a", true).await.unwrap();
    assert_eq!((steps(&dry), dry.applied), (vec!["remove a".to_owned()], false));
    bench.fleet().delete_worker("a", false).await.unwrap();
    bench.fleet().delete_worker("c", false).await.unwrap();
    assert_eq!((bench.names(), bench.files()), (vec!["b".to_owned()], vec!["watch.toml".to_owned()]));
    match bench.fleet().delete_worker("a", false).await {
        Err(FleetError::NotFound(why)) => assert_eq!(why, "no worker \"a\""),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pause_and_scale_edit_the_manifest_and_restart_nothing() {
    let mut bench = Bench::with(&[("watch.toml", COMMENTED)]).await;
    let plan = bench.fleet().set_paused("a", true).await.unwrap();
    assert_eq!(steps(&plan), ["amend a paused: false -> true"]);
    bench.fleet().scale("a", 3).await.unwrap();
    assert_eq!(bench.running("a").incarnation, 1);
    assert!(bench.running("a").order.spec.live.paused);
    assert_eq!(bench.running("a").order.spec.live.replicas, 3);
    assert!(!bench.fleet().set_paused("a", true).await.unwrap().applied, "it is paused already");
    assert!(bench.text("watch.toml").contains("name = \"a\" # its id"));
    bench.fleet().set_paused("a", false).await.unwrap();
    assert!(!bench.running("a").order.spec.live.paused);
    assert!(matches!(bench.fleet().scale("nobody", 1).await, Err(FleetError::NotFound(_))));
    bench.barrier().await;
}

#[tokio::test]
async fn a_worker_whose_component_file_is_gone_can_still_be_paused() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    fs::remove_file(bench.dir.path().join("plugins/poller.wasm")).unwrap();
    bench.until("the problem", |status| !status.problems.is_empty()).await;
    bench.fleet().set_paused("a", true).await.unwrap();
    assert!(bench.running("a").order.spec.live.paused);
    assert!(invalid(bench.apply(&worker("a", "2s")).await)[0].contains("is not in the plugins folder"), "but nothing new is built on it");
}

#[tokio::test]
async fn undo_goes_back_further_each_time_until_something_else_changes() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    for every in ["2s", "3s", "4s"] {
        bench.apply(&worker("a", every)).await.unwrap();
    }
    bench.apply(&worker("b", "1s")).await.unwrap();
    let dry = bench.fleet().undo(true).await.unwrap();
    assert_eq!((steps(&dry), dry.files), (vec!["remove b".to_owned()], vec!["b.toml".to_owned()]));
    let plan = bench.fleet().undo(false).await.unwrap();
    assert_eq!((steps(&plan), plan.generation), (vec!["remove b".to_owned()], 6), "going back is a new generation");
    assert_eq!(bench.files(), ["a.toml"]);
    bench.fleet().undo(false).await.unwrap();
    assert!(bench.every("a").contains("3s"));
    bench.restart().await;
    bench.fleet().undo(false).await.unwrap();
    assert!(bench.text("a.toml").contains("2s"), "a restart doesn't forget how far undo went");
    assert_eq!(bench.archive.generations.lock().unwrap().last().unwrap().cause, "undo");

    bench.drop_file("a.toml", &worker("a", "7s"));
    bench.until_generation(9).await;
    bench.fleet().undo(false).await.unwrap();
    assert!(bench.every("a").contains("2s"), "after another change undo takes back that one");
    bench.fleet().undo(false).await.unwrap();
    assert!(bench.every("a").contains("3s"), "and then goes back through what was before");
}

#[tokio::test]
async fn without_an_earlier_generation_there_is_nothing_to_undo() {
    let bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    assert_eq!(conflict(bench.fleet().undo(false).await), "there is no earlier generation to go back to");
}

#[tokio::test]
async fn a_read_only_folder_answers_with_a_conflict() {
    // Nobody, not even root, makes files here.
    let nowhere = PathBuf::from("/sys");
    if fs::write(nowhere.join("skep-test"), "").is_ok() || !nowhere.is_dir() {
        return;
    }
    let mut bench = Bench::new();
    bench.start_on(nowhere, bench.archive.clone()).await.unwrap();
    let why = conflict(bench.apply(&worker("a", "1s")).await);
    assert!(why.starts_with("the manifests folder is read-only: a.toml"), "{why}");
    assert_eq!((bench.calls().len(), bench.fleet().generation()), (0, 1), "nothing that isn't on disk is applied");
}

#[tokio::test]
async fn after_a_stop_everything_is_refused() {
    let bench = Bench::with(&[]).await;
    bench.fleet().stop().await;
    assert!(matches!(bench.apply(&worker("a", "1s")).await, Err(FleetError::Internal(why)) if why == "the host is stopping"));
}

#[tokio::test]
async fn generations_in_the_real_store_serve_undo_and_restart() {
    let mut bench = Bench::new();
    let settings = StoreSettings { dir: bench.dir.path().join("data"), history_bytes: 1 << 20, history_days: 1 };
    let store = Store::open(settings.clone()).unwrap();
    bench.start_with(Arc::new(store.clone())).await;
    bench.apply(&worker("a", "1s")).await.unwrap();
    bench.apply(&worker("a", "2s")).await.unwrap();
    bench.fleet().stop().await;
    store.close().await.unwrap();
    bench.drop_file("a.toml", "broken");
    let store = Store::open(settings).unwrap();
    bench.start_with(Arc::new(store.clone())).await;
    assert!(bench.every("a").contains("2s"), "the last good text was kept");
    assert_eq!(bench.fleet().undo(false).await.unwrap().generation, 4);
    assert_eq!(bench.text("a.toml"), worker("a", "1s"));
    store.close().await.unwrap();
}
