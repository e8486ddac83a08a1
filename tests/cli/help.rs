//! Verbs, flags and names, as clap and the verbs read them.

use std::{path::Path, time::Duration};

use clap::{CommandFactory, Parser};
use skep::{
    cli::{
        Cli,
        args::{ScaleTo, Verb},
        client::{Place, replica_of, segment},
        failure::Code,
        layer,
    },
    config::LogFormat,
};

#[test]
fn help_lists_every_verb_and_the_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    for verb in [
        "up",
        "apply",
        "diff",
        "check",
        "get",
        "delete",
        "undo",
        "logs",
        "events",
        "top",
        "why",
        "traps",
        "trap",
        "restart",
        "pause",
        "resume",
        "drain",
        "scale",
        "tick",
        "call",
        "checks",
        "queue",
        "kv",
        "limiter",
        "inspect",
        "doctor",
        "backup",
        "restore",
        "completions",
    ] {
        assert!(help.lines().any(|line| line.trim_start().split(' ').next() == Some(verb)), "{verb} is not in the help");
    }
    assert!(help.contains("Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused (invalid or denied), 5 no host."));
    assert!(help.contains("SKEP_ADMIN") && help.contains("SKEP_TOKEN") && help.contains("SKEP_DATA"));
    Cli::command().debug_assert();
}

#[test]
fn host_flags_stand_before_or_after_the_verb() {
    for line in [["skep", "--data", "d", "get", "workers"], ["skep", "get", "workers", "--data", "d"]] {
        assert_eq!(Cli::try_parse_from(line).unwrap().host.data.unwrap(), Path::new("d"));
    }
    let cli = Cli::try_parse_from(["skep", "checks", "--admin", "http://nas:7700"]).unwrap();
    assert_eq!(cli.host.admin.as_deref(), Some("http://nas:7700"));
}

#[test]
fn up_binds_what_its_admin_flag_says() {
    let up = |line: &[&str]| {
        let cli = Cli::try_parse_from(line).unwrap();
        let Verb::Up(up) = cli.verb else { panic!("not up") };
        layer(cli.host, up)
    };
    let flags =
        up(&["skep", "up", "--admin", "127.0.0.1:0", "--listen", "localhost:8080", "--data", "d", "--drain", "3s", "--log", "json"])
            .unwrap();
    assert_eq!(flags.admin.unwrap().0, "127.0.0.1:0".parse().unwrap());
    assert_eq!(flags.listen.unwrap().0, "127.0.0.1:8080".parse().unwrap());
    assert_eq!((flags.drain.unwrap().0, flags.log), (Duration::from_secs(3), Some(LogFormat::Json)));
    let refused = up(&["skep", "up", "--admin", "nas:7700"]).unwrap_err();
    assert_eq!(refused.code, Code::Usage);
    assert!(refused.message.starts_with("--admin: \"nas:7700\" is not an address to listen on"), "{}", refused.message);
}

#[test]
fn several_files_follow_one_flag_or_many() {
    for line in [vec!["skep", "apply", "-f", "a", "b"], vec!["skep", "apply", "-f", "a", "-f", "b"]] {
        let Verb::Apply(apply) = Cli::try_parse_from(line).unwrap().verb else { panic!("not apply") };
        assert_eq!(apply.files, ["a", "b"]);
    }
    assert!(Cli::try_parse_from(["skep", "apply"]).is_err());
}

#[test]
fn names_with_replicas_and_items_are_told_apart() {
    assert_eq!(replica_of("counter"), ("counter", None));
    assert_eq!(replica_of("counter/2"), ("counter", Some("2")));
    assert_eq!(replica_of("pinger/nas"), ("pinger/nas", None));
    assert_eq!(replica_of("pinger/nas/2"), ("pinger/nas", Some("2")));
    assert_eq!(replica_of("counter/"), ("counter/", None));
    assert_eq!(segment("pinger/nas"), "pinger%2Fnas");
    assert_eq!(segment(".."), "%2E%2E");
    assert_eq!("permuter=4".parse(), Ok(ScaleTo { name: "permuter".into(), replicas: 4 }));
    assert_eq!("permuter".parse::<ScaleTo>().unwrap_err(), "\"permuter\" says no number: write NAME N, or NAME=N for several");
    assert_eq!("permuter=-1".parse::<ScaleTo>().unwrap_err(), "\"-1\" is not a number of replicas");
}

#[test]
fn a_host_is_found_by_flag_then_variable_then_socket() {
    let data = Path::new("here");
    let place = |flag, variable| Place::resolve(flag, variable, data).unwrap();
    assert_eq!(place(Some("http://a:1/"), Some("http://b:2")), Place::Http("http://a:1".into()));
    assert_eq!(place(None, Some("127.0.0.1:2")), Place::Http("http://127.0.0.1:2".into()));
    assert_eq!(place(None, None), Place::Socket("here/skep.sock".into()));
    assert_eq!(place(None, Some("")), Place::Socket("here/skep.sock".into()));
    for wrong in ["https://a", "ftp://a", "http://a/b", "http://", "b:2", "b"] {
        assert_eq!(Place::resolve(Some(wrong), None, data).unwrap_err().code, Code::Usage, "{wrong}");
    }
}
