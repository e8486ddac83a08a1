//! Plans, problems and the manifest files they are about.

use std::fs;

use skep::{
    api::ErrorBody,
    cli::{
        check,
        failure::{Code, Failure},
        files::{self, Joined},
        plan,
    },
    facts::{Forgets, Plan, Problem, Step, Verb},
};

use super::{paint, problem};

fn step(verb: Verb, worker: &str, changes: &[&str]) -> Step {
    Step { verb, worker: worker.into(), changes: changes.iter().map(|change| (*change).to_owned()).collect() }
}

fn some_plan() -> Plan {
    Plan {
        generation: 4,
        applied: true,
        steps: vec![
            step(Verb::Create, "pages", &[]),
            step(Verb::Update, "api", &["schedule.every: 30s -> 10s"]),
            step(Verb::Update, "counter", &["limits.memory: 64MiB -> 128MiB", "config.max_labels: 1 -> 2"]),
            step(Verb::Amend, "nas", &["title: a -> b"]),
            step(Verb::Remove, "old", &[]),
        ],
        unchanged: 3,
        files: vec!["pages.toml".into()],
        forgets: vec![Forgets { worker: "old".into(), checks: 2, since: "2026-11-20T23:59:59Z".parse().unwrap() }],
    }
}

#[test]
fn a_plan_shows_what_happens_to_each_worker() {
    assert_eq!(
        plan::render(&some_plan(), false, &paint()),
        "\
+ create pages
~ update api  schedule.every: 30s -> 10s
~ update counter
    limits.memory: 64MiB -> 128MiB
    config.max_labels: 1 -> 2
~ amend nas  title: a -> b  (no restart)
- remove old
    its 2 checks and their history since 2026-11-20 go too
= 3 unchanged
applied as generation 4: pages.toml
"
    );
    let dry = Plan { applied: false, files: Vec::new(), ..some_plan() };
    assert!(plan::render(&dry, true, &paint()).ends_with("= 3 unchanged\ndry run: nothing was changed (5 steps)\n"));
    let nothing = Plan { generation: 4, applied: false, steps: Vec::new(), unchanged: 3, files: Vec::new(), forgets: Vec::new() };
    assert_eq!(plan::render(&nothing, false, &paint()), "= 3 unchanged\nnothing to do: generation 4 is as declared\n");
    let one = Plan { forgets: vec![Forgets { checks: 1, ..some_plan().forgets[0].clone() }], ..some_plan() };
    assert!(plan::render(&one, false, &paint()).contains("\n    its check and its history since 2026-11-20 go too\n"));
    assert!(plan::differs(&dry) && !plan::differs(&nothing));
    assert_eq!(plan::amended("pages", "paused", &some_plan()), "pages paused (generation 4)\n");
    assert_eq!(plan::amended("pages", "paused", &nothing), "pages was paused already\n");
}

#[test]
fn check_prints_every_problem_with_place_and_hint() {
    let report = check::Report {
        files: 3,
        workers: 2,
        problems: vec![
            problem("a.toml", 3, Some("pages"), Some("schedule.every"), "\"0s\" is not a positive duration", Some("write e.g. \"30s\"")),
            problem("a.toml", 9, Some("pages"), Some("shedule"), "unknown field", Some("did you mean \"schedule\"?")),
            Problem { line: 0, ..problem("b.toml", 0, None, None, "is a directory", None) },
        ],
    };
    assert_eq!(
        check::render(&report, &paint()),
        "\
a.toml:3:3: worker \"pages\": schedule.every: \"0s\" is not a positive duration
  hint: write e.g. \"30s\"
a.toml:9:3: worker \"pages\": shedule: unknown field
  hint: did you mean \"schedule\"?
b.toml: is a directory

3 problems in 2 of 3 files
"
    );
    let fine = check::Report { files: 1, workers: 2, problems: Vec::new() };
    assert_eq!(check::render(&fine, &paint()), "1 file, 2 workers: no problems\n");
}

#[test]
fn files_that_are_no_manifests_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("dir.toml")).unwrap();
    fs::write(path("latin.toml"), b"# fine\n# caf\xe9\n").unwrap();
    fs::File::create(path("big.toml")).unwrap().set_len((8 << 20) + 1).unwrap();
    let said = |name: &str| files::read(&path(name)).unwrap_err();
    assert_eq!(said("dir.toml").message, "is a directory");
    assert_eq!(said("none.toml").message, "no such file");
    assert_eq!(said("big.toml").message, "is larger than 8 MiB");
    let latin = said("latin.toml");
    assert_eq!((latin.message.as_str(), latin.line), ("is not UTF-8 text at byte 12", 2));
    let names = ["dir.toml", "none.toml", "big.toml", "latin.toml"];
    let report = check::run(&names.map(path), None, None);
    assert_eq!(report.problems.len(), 4, "each is told, none hides another");
    assert!(report.problems.iter().all(|problem| problem.hint.is_some()));
}

#[test]
fn problems_of_joined_files_name_their_file() {
    let mut joined = Joined::default();
    joined.add("a.toml", "[[worker]]\nname = \"a\"");
    joined.add("b.toml", "# b\n[[worker]]\nname = \"b\"\n");
    assert_eq!(joined.text, "[[worker]]\nname = \"a\"\n# b\n[[worker]]\nname = \"b\"\n");
    let traced = |file: &str, line: u32| {
        let mut problem = problem(file, line, None, None, "x", None);
        joined.trace(&mut problem);
        (problem.file, problem.line)
    };
    assert_eq!(traced("body", 2), ("a.toml".into(), 2));
    assert_eq!(traced("body", 3), ("b.toml".into(), 1));
    assert_eq!(traced("body", 5), ("b.toml".into(), 3));
    assert_eq!(traced("watch.toml", 5), ("watch.toml".into(), 5), "a file of the host's folder");
}

#[test]
fn only_a_file_of_several_workers_names_its_set() {
    let set = |name: &str, text: &str| {
        let mut joined = Joined::default();
        joined.add(name, text);
        joined.set()
    };
    let two = "[[worker]]\n[[worker]]\n";
    assert_eq!(set("dir/watch.toml", two).as_deref(), Some("watch"));
    assert_eq!(set("watch.toml", "[[worker]]\n"), None);
    assert_eq!(set("My File.toml", two), None);
    assert_eq!(set("<stdin>", two), None);
}

#[test]
fn answers_of_the_host_become_exit_codes() {
    let failure = |status| Failure::from_answer(status, ErrorBody { error: "no".into(), problems: Vec::new(), hint: None });
    for (status, code) in [
        (400, Code::Refused),
        (401, Code::Refused),
        (403, Code::Refused),
        (404, Code::NotFound),
        (409, Code::Refused),
        (422, Code::Refused),
        (500, Code::Failed),
        (503, Code::Failed),
        (504, Code::Failed),
    ] {
        assert_eq!(failure(status).code, code, "{status}");
    }
    assert!(failure(401).render(&paint()).contains("hint: set SKEP_TOKEN"));
    assert_eq!(failure(409).render(&paint()), "error: no\n");
}
