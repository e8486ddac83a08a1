//! Files that are dropped, edited, broken, moved and deleted: the folder is what runs.

use std::{fs, io::Write, os::unix::fs::symlink};

use super::support::{Bench, worker};

#[tokio::test]
async fn start_brings_up_what_the_folder_declares_in_order() {
    let two = worker("z", "1s") + &worker("b", "1s");
    let bench = Bench::with(&[("2.toml", &worker("a", "1s")), ("1.toml", &two)]).await;
    assert_eq!(bench.calls(), ["create z", "create b", "create a"], "files by name, workers as listed");
    assert!(bench.running("z").at_start, "so that first ticks can be spread");
    assert_eq!(bench.fleet().generation(), 1);
    assert_eq!(bench.events("fleet.applied"), ["3 created, 0 unchanged"]);
}

#[tokio::test]
async fn dropped_edited_and_deleted_files_are_followed() {
    let mut bench = Bench::with(&[("a.toml", &(worker("a", "1s") + &worker("b", "1s")))]).await;
    bench.calls();
    bench.drop_file("c.toml", &worker("c", "1s"));
    bench.until_generation(2).await;
    assert_eq!(bench.calls(), ["create c"]);
    assert!(!bench.running("c").at_start, "a worker that comes later ticks at once");
    bench.drop_file("a.toml", &(worker("a", "1s") + &worker("b", "5s")));
    bench.until_generation(3).await;
    assert_eq!(bench.calls(), ["update b"], "only the changed one is touched");
    bench.remove_file("a.toml");
    bench.until_generation(4).await;
    assert_eq!(bench.calls(), ["remove a", "remove b"]);
    assert_eq!(bench.events("fleet.applied").last().unwrap(), "2 removed, 1 unchanged");
    assert_eq!(bench.names(), ["c"]);
}

#[tokio::test]
async fn files_written_in_place_are_followed_when_they_are_closed() {
    let mut bench = Bench::with(&[]).await;
    let mut file = fs::File::create(bench.manifests().join("a.toml")).unwrap();
    file.write_all(worker("a", "1s").as_bytes()).unwrap();
    bench.barrier().await;
    assert_eq!(bench.names(), [""; 0], "half a file is not looked at");
    file.write_all(worker("b", "1s").as_bytes()).unwrap();
    drop(file);
    bench.until("both workers", |status| status.desired.units().len() == 2).await;
    assert_eq!(bench.calls(), ["create a", "create b"]);
}

#[tokio::test]
async fn moving_a_worker_to_another_file_or_line_touches_nothing() {
    let mut bench = Bench::with(&[("a.toml", &(worker("a", "1s") + &worker("b", "1s"))), ("b.toml", "# empty\n")]).await;
    bench.calls();
    // Both writes fall into one settled batch.
    bench.drop_file("a.toml", &worker("a", "1s"));
    bench.drop_file("b.toml", &("# moved here\n\n\n".to_owned() + &worker("b", "1s")));
    bench.until("the move", |status| status.desired.unit("b").is_some_and(|unit| unit.spec.origin.line == 4)).await;
    assert_eq!(bench.calls(), [""; 0]);
    assert_eq!(&*bench.fleet().desired().unit("b").unwrap().spec.origin.file, "b.toml", "where it stands is known");
}

#[tokio::test]
async fn live_fields_change_without_a_restart() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    bench.drop_file("a.toml", &(worker("a", "1s") + "title = \"Ours\"\nreplicas = 2\n"));
    bench.until_generation(2).await;
    assert_eq!(bench.running("a").incarnation, 1);
    assert_eq!(bench.running("a").order.spec.live.title.as_deref(), Some("Ours"));
    assert_eq!(bench.running("a").order.spec.live.replicas, 2);
}

#[tokio::test]
async fn limiters_are_desired_state_too() {
    let limiter = "[[limiter]]\nname = \"slow\"\nrate = \"2/s\"\n";
    let mut bench = Bench::with(&[("a.toml", &(limiter.to_owned() + &worker("a", "1s")))]).await;
    assert_eq!(bench.calls(), ["limiters", "create a"], "limiters are there before who uses them");
    bench.drop_file("a.toml", &(limiter.replace("2/s", "3/s") + &worker("a", "1s")));
    bench.until_generation(2).await;
    assert_eq!(bench.calls(), ["limiters"]);
    assert_eq!(bench.runner.limiters.lock().unwrap()[0].rate.count, 3);
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_workers_also_over_a_restart() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s")), ("b.toml", &worker("b", "1s"))]).await;
    bench.drop_file("a.toml", &worker("a", "0s"));
    bench.drop_file("b.toml", &worker("b", "5s"));
    bench.until("the problem", |status| !status.problems.is_empty()).await;
    assert!(bench.every("b").contains("5s"), "the rest goes on");
    assert!(bench.every("a").contains("1s"));
    let held_back = bench.running("a").order.held_back.clone().unwrap();
    assert!(held_back.contains("a.toml:4") && held_back.contains("schedule.every"), "{held_back}");
    assert_eq!(bench.running("a").incarnation, 1);
    assert_eq!(bench.events("manifest.refused").len(), 1);

    bench.restart().await;
    assert!(bench.every("a").contains("1s") && bench.every("b").contains("5s"));
    assert!(bench.running("a").order.held_back.is_some());
    assert!(bench.said()[0].starts_with("a.toml:4"), "{:?}", bench.said());

    bench.drop_file("a.toml", &worker("a", "9s"));
    bench.until("the mended file", |status| status.problems.is_empty()).await;
    assert!(bench.every("a").contains("9s"));
    assert_eq!(bench.running("a").order.held_back, None);
    assert_eq!(bench.events("manifest.accepted"), ["a.toml: all problems are gone"]);
}

#[tokio::test]
async fn a_problem_is_told_once_however_often_the_file_is_written() {
    let mut bench = Bench::with(&[("a.toml", "nonsense = 1\n")]).await;
    let told = bench.events("manifest.refused").len();
    assert_eq!(told, 1, "{:?}", bench.said());
    for text in ["nonsense = 1\n\n", "nonsense = 1\n", "nonsense = 1 # still\n"] {
        bench.drop_file("a.toml", text);
        bench.barrier().await;
    }
    assert_eq!(bench.events("manifest.refused").len(), told);
}

#[tokio::test]
async fn files_that_are_none_are_told_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    fs::create_dir(bench.manifests().join("dir.toml")).unwrap();
    fs::write(bench.manifests().join("latin.toml"), b"\xe9").unwrap();
    fs::File::create(bench.manifests().join("big.toml")).unwrap().set_len(10 << 20).unwrap();
    bench.drop_file("good.toml", &worker("good", "1s"));
    bench.start().await;
    assert_eq!(bench.names(), ["good"]);
    let said = bench.said();
    assert_eq!(said.iter().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>(), ["big.toml", "dir.toml", "latin.toml"]);
    fs::remove_dir(bench.manifests().join("dir.toml")).unwrap();
    bench.until("the folder's end", |status| status.problems.len() == 2).await;
}

#[tokio::test]
async fn a_folder_that_is_gone_keeps_everything_and_is_found_again() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s"))]).await;
    fs::rename(bench.manifests(), bench.dir.path().join("away")).unwrap();
    bench.until("the folder's problem", |status| !status.problems.is_empty()).await;
    assert!(bench.said()[0].contains("the manifests folder can't be read"), "{:?}", bench.said());
    assert_eq!(bench.names(), ["a"]);

    bench.restart().await;
    assert_eq!(bench.names(), ["a"], "the last good manifests survive a restart");

    fs::create_dir(bench.manifests()).unwrap();
    bench.drop_file("a.toml", &(worker("a", "1s") + &worker("b", "1s")));
    bench.until("the new folder", |status| status.problems.is_empty() && status.desired.units().len() == 2).await;
    assert_eq!(bench.running("a").incarnation, 1);
    bench.drop_file("c.toml", &worker("c", "1s"));
    bench.until("the new folder's events", |status| status.desired.units().len() == 3).await;
}

#[tokio::test]
async fn a_file_deleted_while_the_host_was_down_takes_its_workers_along() {
    let mut bench = Bench::with(&[("a.toml", &worker("a", "1s")), ("b.toml", &worker("b", "1s"))]).await;
    bench.fleet().stop().await;
    bench.remove_file("a.toml");
    bench.start().await;
    assert_eq!(bench.names(), ["b"]);
    assert_eq!(bench.fleet().generation(), 2, "the number goes on");
    bench.restart().await;
    assert_eq!(bench.fleet().generation(), 2, "and a restart alone is no change");
}

#[tokio::test]
async fn a_folder_that_is_swapped_behind_links_is_followed() {
    let mut bench = Bench::new();
    let at = |name: &str| bench.manifests().join(name);
    for (version, every) in [("..v1", "1s"), ("..v2", "2s")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.toml"), worker("a", every)).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/a.toml", at("a.toml")).unwrap();
    bench.start().await;
    assert!(bench.every("a").contains("1s"));
    symlink("..v2", bench.manifests().join("..data.new")).unwrap();
    fs::rename(bench.manifests().join("..data.new"), bench.manifests().join("..data")).unwrap();
    bench.until_generation(2).await;
    assert!(bench.every("a").contains("2s"));
}

#[tokio::test]
async fn keys_of_a_later_build_are_refused_as_such() {
    let mut bench = Bench::new();
    bench.drop_file("a.toml", "[[worker]]\nname = \"a\"\ncomponent = \"poller.wasm\"\napprove = true\n");
    bench.start().await;
    assert!(bench.said()[0].contains("not in this build"), "{:?}", bench.said());
    assert_eq!(bench.names(), [""; 0]);
}

#[tokio::test]
async fn one_of_two_thousand_is_touched() {
    let text = |changed: usize| (0..2_000).map(|n| worker(&format!("w{n}"), if n == changed { "7s" } else { "30s" })).collect::<String>();
    let mut bench = Bench::with(&[("all.toml", &text(9_999))]).await;
    assert_eq!(bench.calls().len(), 2_000);
    bench.drop_file("all.toml", &text(1_234));
    bench.until_generation(2).await;
    assert_eq!(bench.calls(), ["update w1234"]);
    assert_eq!(bench.events("fleet.applied").last().unwrap(), "1 updated, 1999 unchanged");
}
