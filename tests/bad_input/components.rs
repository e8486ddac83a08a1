//! Files named like components that this host can't run, and what `skep inspect` says of good and bad ones.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::Value;

use super::{host, nothing_of_it, problem, stderr};
use crate::support::{Host, plugins, skep, text};

const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A name as imports and exports have it.
fn name(text: &str) -> Vec<u8> {
    [&[0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A component by hand: imports an empty interface that it exports as another one, and maybe an interface with one function.
fn component(exports: &str, wants: Option<&str>) -> Vec<u8> {
    // Two instance types: { go: func() } and {}.
    let types = [&[2, 0x42, 2, 1, 0x40, 0, 1, 0, 4][..], &name("go"), &[1, 0, 0x42, 0]].concat();
    let wanted = wants.map(|wants| [&name(wants)[..], &[5, 0]].concat()).unwrap_or_default();
    let imports = [&[1 + u8::from(wants.is_some())][..], &name("wasi:io/error@0.2.6"), &[5, 1], &wanted].concat();
    let exports = [&[1][..], &name(exports), &[5, 0, 0]].concat();
    [PREAMBLE.to_vec(), section(7, &types), section(10, &imports), section(11, &exports)].concat()
}

/// Puts every bad file into a folder: name, and what must be said.
fn bad_files(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let whole = fs::read(plugins().join("echo.wasm")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    put("text.wasm", b"<html>404 Not Found</html>\n");
    put("core.wasm", b"\0asm\x01\0\0\0");
    put("empty.wasm", b"");
    put("start.wasm", &whole[..6]);
    put("half.wasm", &whole[..whole.len() / 2]);
    put("most.wasm", &whole[..whole.len() - 7]);
    put("noise.wasm", &[0xff, 0xfe, 0, 1, 2, 3, 4, 5, 6, 7]);
    put("nothing.wasm", PREAMBLE);
    put("lacks.wasm", &component("skep:worker/call-handler@0.1.0", Some("skep:worker/teleport@0.1.0")));
    put("shape.wasm", &component("skep:worker/call-handler@0.1.0", None));
    fs::File::create(folder.join("huge.wasm")).unwrap().set_len(200 << 20).unwrap();
    fs::create_dir(folder.join("folder.wasm")).unwrap();
    symlink("nowhere.wasm", folder.join("link.wasm")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.wasm")).status().unwrap().success());
    vec![
        ("text.wasm", "text.wasm is text, not wasm"),
        ("core.wasm", "core.wasm is a core wasm module, not a component; build it for wasm32-wasip2"),
        ("empty.wasm", "empty.wasm is empty"),
        ("start.wasm", "start.wasm is truncated: it ends after 6 bytes"),
        ("half.wasm", "half.wasm is truncated: "),
        ("most.wasm", "most.wasm is truncated: "),
        ("noise.wasm", "noise.wasm is not wasm"),
        ("nothing.wasm", "nothing.wasm exports no trigger this host can serve (found: nothing); export a handler of skep:worker"),
        ("lacks.wasm", "lacks.wasm imports something this host lacks: skep:worker/teleport@0.1.0 go"),
        ("shape.wasm", "shape.wasm exports an interface in another shape than this host's: "),
        ("huge.wasm", "huge.wasm has 200 MiB; a component has 128 MiB at most"),
        ("folder.wasm", "folder.wasm is a folder, not a component"),
        ("link.wasm", "link.wasm is a link to a file that is not there"),
        ("pipe.wasm", "pipe.wasm is not a regular file"),
    ]
}

fn manifest(component: &str) -> String {
    format!("# a comment\n[[worker]]\nname = \"w\"\ncomponent = \"{component}\"\n")
}

#[test]
fn bad_components_are_refused_by_name_and_reason() {
    let host = host();
    let before = host.worker("bystander").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plugins = host.data().join("plugins");
    let mut bad = bad_files(&plugins);
    bad.push(("missing.wasm", "missing.wasm is not in "));
    for (component, says) in bad {
        let file = component.replace(".wasm", ".toml");
        let path = folder.path().join(&file);
        let path = path.to_str().unwrap();
        // A worker beside it that is fine: nothing of the file is applied all the same.
        fs::write(path, manifest(component) + "[[worker]]\nname = \"fine\"\ncomponent = \"echo.wasm\"\n").unwrap();
        let place = |name: &str| format!("{name}:2: worker \"w\": component: {says}");

        let checked = skep(&["check", path, "--plugins", plugins.to_str().unwrap()]);
        let said = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(4), "{said}");
        assert!(said.contains(&place(path)) && said.contains("\n1 problem in "), "check: {said}");

        let applied = host.run(&["apply", "-f", path]);
        assert_eq!(applied.status.code(), Some(4));
        assert!(stderr(&applied).contains(&place(&file)), "apply: {applied:?}");

        host.drop_manifest(&file, &fs::read_to_string(path).unwrap());
        let said = problem(&host, &file);
        assert!(said.starts_with(&place(&file)), "drop: {said}");
        nothing_of_it(&host, &before);
        let missing = host.fails(3, &["get", "worker", "w"]);
        assert!(missing.contains(says) && missing.contains("never applied"), "{missing}");
        fs::remove_file(host.manifest(&file)).unwrap();
        crate::support::eventually("the problem goes", || (!host.ok(&["get", "problems"]).contains(&file)).then_some(()));
    }
}

#[test]
fn a_trigger_the_component_cannot_serve_is_refused() {
    let host = Host::with(&["poller", "echo"]);
    let plugins = host.data().join("plugins");
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "",
            "component: poller.wasm can't serve this worker: it declares no trigger, and the component exports no skep:worker/call-handler; declare what it serves: schedule",
        ),
        (
            "digest = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nschedule = { every = \"1h\" }\n",
            "digest: poller.wasm has sha256:",
        ),
    ];
    for (more, says) in cases {
        let path = folder.path().join("w.toml");
        fs::write(&path, manifest("poller.wasm") + more).unwrap();
        let path = path.to_str().unwrap();
        let checked = text(&skep(&["check", path, "--plugins", plugins.to_str().unwrap()]).stdout);
        let applied = host.fails(4, &["apply", "-f", path]);
        for said in [checked, applied] {
            assert!(said.contains(&format!("w.toml:2: worker \"w\": {says}")), "{said}");
        }
    }
    assert!(host.workers().is_empty());
}

#[test]
fn inspect_says_what_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let bad = bad_files(folder.path());
    for (component, says) in bad {
        let path = folder.path().join(component);
        let seen = skep(&["inspect", path.to_str().unwrap()]);
        let said = text(&seen.stderr);
        match component {
            // These are components: what they want and offer is shown.
            "nothing.wasm" | "lacks.wasm" | "shape.wasm" => assert!(seen.status.success(), "{said}"),
            "link.wasm" => assert!(seen.status.code() == Some(3) && said.contains(says), "{said}"),
            _ => assert!(seen.status.code() == Some(4) && said.contains(says) && said.lines().count() == 1, "{component}: {said}"),
        }
    }
    let missing = skep(&["inspect", folder.path().join("missing.wasm").to_str().unwrap()]);
    assert_eq!((missing.status.code(), text(&missing.stderr).as_str()), (Some(3), "error: missing.wasm does not exist\n"));
    let lacks = text(&skep(&["inspect", folder.path().join("lacks.wasm").to_str().unwrap()]).stdout);
    assert!(lacks.contains("skep:worker/teleport@0.1.0"), "{lacks}");
    let nothing = text(&skep(&["inspect", folder.path().join("nothing.wasm").to_str().unwrap()]).stdout);
    assert!(nothing.contains("none: no manifest can use it"), "{nothing}");
}

#[test]
fn inspect_says_what_a_component_offers_and_may_ask_for() {
    let path = plugins().join("poller.wasm");
    let seen = skep(&["inspect", path.to_str().unwrap()]);
    let said = text(&seen.stdout);
    assert!(seen.status.success(), "{seen:?}");
    for line in [
        "  skep:worker/schedule-handler@0.1.0",
        "  skep:worker/checks@0.1.0",
        "  wasi:http/outgoing-handler@0.2",
        "  schedule = { every",
        "  http = { allow",
    ] {
        assert!(said.lines().any(|found| found.starts_with(line)), "no {line:?}: {said}");
    }
    let json: Value = serde_json::from_str(&text(&skep(&["inspect", path.to_str().unwrap(), "-o", "json"]).stdout)).unwrap();
    assert_eq!((json["triggers"].as_array().unwrap().len(), json["grants"].as_array().unwrap().len()), (1, 1), "{json:#}");
    assert!(json["exports"].as_array().unwrap().iter().any(|export| export == "skep:worker/lifecycle@0.1.0"), "{json:#}");
}
