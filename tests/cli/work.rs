//! Queues, jobs, keys and limiters as a person reads them.

use clap::Parser;
use skep::{
    api::ErrorBody,
    cli::{
        Cli,
        args::{KvAct, QueueAct, ScaleTo, Verb},
        failure::{Code, Failure},
        work,
    },
    facts::{BucketView, JobState, JobView, KvView, LimiterView, Payload},
};

use super::{at, paint};
use crate::api::queue;

fn job(id: &str, state: JobState, payload: &[u8]) -> JobView {
    JobView {
        id: id.into(),
        queue: "todo".into(),
        state,
        priority: 0,
        attempts: 1,
        max_attempts: 20,
        unique_key: None,
        pushed_by: "api".into(),
        pushed_at: at("06:01:00"),
        due_at: at("06:03:30"),
        finished_at: None,
        expires_at: None,
        leased_by: None,
        progress: None,
        last_error: None,
        payload_bytes: payload.len() as u64,
        payload: Some(Payload::of(payload)),
        result: None,
    }
}

#[test]
fn queues_are_a_table_of_what_stands_where() {
    let mut todo = queue("todo-chunks");
    (todo.waiting, todo.running, todo.dead, todo.done) = (1_200, 4, 2, 310);
    todo.oldest_waiting_at = Some(at("05:51:00"));
    (todo.limiter, todo.workers) = (Some("exchange".into()), vec!["chunk-cloner".into()]);
    (todo.file, todo.line) = (Some("cloner.toml".into()), Some(4));
    assert_eq!(
        work::queues(&[queue("idle"), todo.clone()], false, &paint()),
        "\
NAME         WAITING  DELAYED  RUNNING  DEAD  DONE  OLDEST   LIMITER   WORKERS
idle               0        0        0     0     0  -        -         -
todo-chunks     1200        0        4     2   310  12m ago  exchange  chunk-cloner
"
    );
    let wide = work::queues(&[todo], true, &paint());
    assert!(wide.contains("cloner.toml:4") && wide.contains("60m"), "{wide}");
    assert!(work::queues(&[], false, &paint()).starts_with("no queues yet: a push makes one"));
}

#[test]
fn jobs_show_what_they_carry() {
    let mut late = job("0198b3f0-aaaa-7000-8000-000000000001", JobState::Delayed, b"{\"start\":1}\nmore");
    late.attempts = 3;
    let odd = job("0198b3f0-aaaa-7000-8000-000000000002", JobState::Waiting, &[0xff; 2_048]);
    let none = job("0198b3f0-aaaa-7000-8000-000000000003", JobState::Running, b"");
    assert_eq!(
        work::jobs("todo", &[late, odd, none], false, &paint()),
        "\
ID                                    STATE    DUE     ATTEMPTS  PRIORITY  PUSHED  PAYLOAD
0198b3f0-aaaa-7000-8000-000000000001  delayed  in 30s      3/20         0  2m ago  {\"start\":1}…
0198b3f0-aaaa-7000-8000-000000000002  waiting  -           1/20         0  2m ago  (2 KiB)
0198b3f0-aaaa-7000-8000-000000000003  running  -           1/20         0  2m ago  (empty)
"
    );
    assert_eq!(work::jobs("todo", &[], false, &paint()), "no such jobs in todo\n");
}

#[test]
fn dead_jobs_say_why_and_what_to_do() {
    let mut gone = job("0198b3f0-aaaa-7000-8000-000000000001", JobState::Dead, b"x");
    (gone.attempts, gone.finished_at, gone.last_error) = (20, Some(at("06:02:50")), Some("status 500\nfrom upstream".into()));
    assert_eq!(
        work::dead(&[gone], false, &paint()),
        "\
ID                                    QUEUE  ATTEMPTS  DIED     REASON
0198b3f0-aaaa-7000-8000-000000000001  todo      20/20  10s ago  status 500…

skep queue status ID shows one, skep queue retry ID lets it wait again
"
    );
    assert_eq!(work::dead(&[], false, &paint()), "no dead jobs\n");
}

#[test]
fn one_job_is_a_record() {
    let mut done = job("0198b3f0-aaaa-7000-8000-000000000001", JobState::Done, b"line one\nline two");
    (done.finished_at, done.expires_at) = (Some(at("06:02:00")), Some(at("07:02:00")));
    done.result = Some(Payload::of(&[0; 3]));
    assert_eq!(
        work::job(&done, &paint()),
        "\
job         0198b3f0-aaaa-7000-8000-000000000001
queue       todo
state       done since 2026-11-21 06:02:00 (60s ago)
attempts    1 of 20
pushed      2026-11-21 06:01:00 (2m ago) by api
priority    0
kept until  2026-11-21 07:02:00 (in 59m)
payload     line one
            line two
result      (3 B, not text)
"
    );
}

#[test]
fn keys_and_buckets_are_tables() {
    let entry = |key: &str, value: &[u8]| KvView {
        bucket: "counter".into(),
        key: key.into(),
        value: Payload::of(value),
        revision: 7,
        expires_at: None,
    };
    let all = [entry("requests/home", b"41"), KvView { expires_at: Some(at("06:04:00")), ..entry("session", &[0xff; 9]) }];
    assert_eq!(
        work::entries(&all, 2, false, &paint()),
        "\
KEY            REVISION  EXPIRES  VALUE
requests/home         7  -        41
session               7  in 60s   (9 B)

2 keys shown; the next: --after session
"
    );
    assert!(!work::entries(&all, 100, false, &paint()).contains("--after"));
    let buckets = [BucketView { name: "counter".into(), keys: 12, bytes: 1_536 }];
    assert_eq!(work::buckets(&buckets, &paint()), "BUCKET   KEYS     SIZE\ncounter    12  1.5 KiB\n");
}

#[test]
fn a_limiter_that_recovers_shows_both_rates() {
    let limiter = |name: &str, effective| LimiterView {
        name: name.into(),
        rate: "360/m".into(),
        effective_per_second: effective,
        burst: 1,
        waiting: 3,
        permits: 1_200,
        paused_until: None,
        file: "limits.toml".into(),
        line: 2,
    };
    let paused = LimiterView { paused_until: Some(at("06:03:20")), ..limiter("paused", 0.0) };
    assert_eq!(
        work::limiters(&[limiter("calm", 6.0), limiter("hit", 1.5), paused], &paint()),
        "\
NAME     RATE  IN FORCE  BURST  WAITING  PERMITS  PAUSED       DECLARED
calm    360/m     360/m      1        3     1200  -            limits.toml:2
hit     360/m     1.5/s      1        3     1200  -            limits.toml:2
paused  360/m       0/s      1        3     1200  ends in 20s  limits.toml:2
"
    );
}

#[test]
fn the_verbs_read_what_people_write() {
    let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb).map_err(|error| error.to_string());
    let Ok(Verb::Queue(queue)) = parse("skep queue push todo - --priority -2 --wait") else { panic!("not queue") };
    let QueueAct::Push(push) = queue.act else { panic!("not push") };
    assert_eq!((push.payload.as_deref(), push.priority, push.wait.as_deref()), (Some("-"), Some(-2), Some("5m")));
    assert!(parse("skep queue push todo").is_err(), "no payload");
    assert!(parse("skep queue purge todo").is_err(), "which states?");
    assert!(parse("skep queue purge todo --state running").is_err(), "running jobs are cancelled");
    let Ok(Verb::Kv(kv)) = parse("skep kv set b k -1") else { panic!("not kv") };
    assert!(matches!(kv.act, KvAct::Set(set) if set.value == "-1"));
    let scale = |line: &str| match parse(line) {
        Ok(Verb::Scale(scale)) => scale.targets(),
        other => panic!("{other:?}"),
    };
    let to = |name: &str, replicas| ScaleTo { name: name.into(), replicas };
    assert_eq!(scale("skep scale permuter 4"), Ok(vec![to("permuter", 4)]));
    assert_eq!(scale("skep scale permuter=4 a=1"), Ok(vec![to("permuter", 4), to("a", 1)]));
    assert_eq!(scale("skep scale permuter").unwrap_err(), "\"permuter\" says no number: write NAME N, or NAME=N for several");
    assert_eq!(scale("skep scale permuter many").unwrap_err(), "\"many\" is not a number of replicas");
}

#[test]
fn hints_name_verbs_not_requests() {
    let failure = |hint: &str| Failure::from_answer(404, ErrorBody { error: "x".into(), hint: Some(hint.into()), ..ErrorBody::default() });
    for (request, verb) in [
        ("GET /api/v1/queues lists them; a push makes one", "skep queue ls lists them; a push makes one"),
        ("GET /api/v1/kv/BUCKET lists a bucket's keys", "skep kv ls BUCKET lists its keys"),
        ("GET /api/v1/kv lists them; the first key makes one", "skep kv ls lists them; the first key makes one"),
        ("did you mean \"todo\"?", "did you mean \"todo\"?"),
    ] {
        assert_eq!((failure(request).code, failure(request).hint.as_deref()), (Code::NotFound, Some(verb)));
    }
}
