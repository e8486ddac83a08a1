//! What holds for any text, any edit and any value.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use skep::manifest::{
    Parser, check_all,
    edit::{self, Kind},
    not_in_this_build,
    spec::{FileSpec, Rate, WorkerSpec, differences},
    units::{parse_duration, parse_size, print_duration, print_size},
};

use super::{edits::block, said, worker};

/// Pieces of manifests, so that random text gets past the first line.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[[worker]]\n"),
        Just("[worker.grants.http]\n"),
        Just("[[worker.config.machines]]\n"),
        Just("[[limiter]]\n"),
        Just("[[queue]]"),
        Just("name = \"a\"\n"),
        Just("name = 'b-2'\n"),
        Just("component = \"a.wasm\"\n"),
        Just("schedule = { every = \"30s\" }\n"),
        Just("grants = { http = { allow = [\"config:urls\", \"*\"] } }\n"),
        Just("config = { urls = [\"http://a\",\n  { url = 'x' }] }\n"),
        Just("notes = \"\"\"\n[[worker]]\n\"\"\" # \"\n"),
        Just("topics = [ # [\n  'a]', \"\\\"[\",\n]\n"),
        Just("each = \"machines\"\n"),
        Just("allow = [\"config:machines\"]\n"),
        Just("rate = \"5/s\"\n"),
        Just("# comment\n"),
        Just("\n"),
        Just("\r\n"),
        Just("\"\"\""),
        Just("'''"),
        Just("\""),
        Just("'"),
        Just("\\"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(" = "),
        Just("."),
        Just("é"),
        Just("\u{feff}"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn check_invariants(text: &str) -> Result<(), TestCaseError> {
    let parsed = Parser::new(None).parse("t.toml", text);
    prop_assert_eq!(parsed.spec.is_some(), parsed.problems.is_empty());
    let lines = text.split('\n').count();
    for problem in &parsed.problems {
        let line = usize::try_from(problem.line).unwrap();
        prop_assert!((1..=lines).contains(&line), "line {} of {}: {}", line, lines, problem);
        prop_assert!(problem.column >= 1);
        let length = text.split('\n').nth(line - 1).unwrap().chars().count();
        prop_assert!(usize::try_from(problem.column).unwrap() <= length + 1, "{} in a line of {}", problem, length);
    }
    let blocks = edit::blocks(text);
    prop_assert_eq!(blocks.iter().map(|block| block.text).collect::<String>(), text);
    // Whatever TOML itself calls a worker is a block, and nothing else is.
    if let Ok(document) = text.parse::<toml::Table>() {
        let declared = document.get("worker").and_then(|workers| workers.as_array()).map_or(0, Vec::len);
        prop_assert_eq!(blocks.iter().filter(|block| block.kind == Kind::Worker).count(), declared);
    }
    if let Some(spec) = &parsed.spec {
        check_all(&[(Arc::from("t.toml"), spec)]);
        not_in_this_build(spec);
        for worker in &spec.workers {
            prop_assert!(differences(worker, worker).is_empty());
        }
    }
    Ok(())
}

/// One valid worker block with the comments and forms people use.
fn some_block() -> impl Strategy<Value = String> {
    ("[a-c]", 0..6usize, 0..4usize, any::<bool>()).prop_map(|(name, form, above, feed)| {
        let body = [
            "schedule = { every = \"30s\" }\n",
            "notes = \"\"\"\n[[worker]]\nname = \"x\"\n\"\"\" # \"\n",
            "[worker.limits] # sub\nmemory = \"1MiB\"\n",
            "topics = [\n  \"a\", # ]\n  'b',\n]\n",
            "title = 'it''s'\n",
            "",
        ][form]
            .replace("'it''s'", "\"it's # [\"");
        let above = ["", "# about it\n", "# two\n# lines\n", "#\n"][above];
        let end = if feed { "" } else { "# inside\n" };
        format!("{above}[[worker]]\n{end}name = \"{name}\"\ncomponent = \"{name}.wasm\"\n{body}")
    })
}

fn some_file() -> impl Strategy<Value = String> {
    let gap = prop_oneof![Just("\n"), Just(""), Just("\n# loose\n\n"), Just("\n\n\n")];
    (prop_oneof![Just(""), Just("# head\n\n")], proptest::collection::vec((some_block(), gap), 0..6))
        .prop_map(|(head, parts)| parts.iter().fold(head.to_owned(), |text, (block, gap)| text + block + gap))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,80}") {
        check_invariants(&text)?;
        _ = (parse_duration(&text), parse_size(&text), text.parse::<Rate>());
    }

    #[test]
    fn any_pieces_get_an_answer(text in soup()) {
        check_invariants(&text)?;
    }

    #[test]
    fn manifests_get_an_answer(text in some_file()) {
        check_invariants(&text)?;
    }

    #[test]
    fn a_changed_file_is_parsed_as_a_new_one(files in proptest::collection::vec(prop_oneof![some_file(), soup()], 1..6)) {
        let mut parser = Parser::new(None);
        for text in &files {
            let (again, fresh) = (parser.parse("t.toml", text), Parser::new(None).parse("t.toml", text));
            prop_assert_eq!(said(&again.problems), said(&fresh.problems));
            let lines = |spec: &Option<FileSpec>| spec.iter().flat_map(|spec| &spec.workers).map(|worker| worker.origin.line).collect::<Vec<_>>();
            prop_assert_eq!(lines(&again.spec), lines(&fresh.spec));
            prop_assert_eq!(again.spec, fresh.spec);
        }
    }

    #[test]
    fn what_is_put_is_found_and_the_rest_is_untouched(text in some_file(), new in some_block()) {
        let new = block(&new);
        let name = new.name.clone().unwrap();
        let put = edit::put_block(&text, &new).unwrap();
        let found = edit::worker_block(&put, &name).unwrap();
        let had = edit::worker_block(&text, &name);
        if new.text.starts_with('#') || had.is_none() {
            prop_assert_eq!(found, new.text);
        } else {
            prop_assert!(found.ends_with(new.text));
        }
        match had {
            None => prop_assert!(put.starts_with(&text)),
            Some(old) => {
                let at = text.find(old).unwrap();
                prop_assert!(put.starts_with(&text[..at]) && put.ends_with(&text[at + old.len()..]));
            }
        }
        prop_assert_eq!(edit::put_block(&put, &new).unwrap(), put, "putting it again changes nothing");
    }

    #[test]
    fn edits_keep_the_other_blocks(text in some_file(), name in "[a-c]", replicas in 1..9i64) {
        let others = |text: &str| -> Vec<String> {
            let blocks = edit::blocks(text).into_iter().filter(|block| block.name.as_deref() != Some(&name));
            blocks.map(|block| block.text.trim_end().to_owned()).collect()
        };
        match edit::set_field(&text, &name, "replicas", replicas.into()) {
            Err(_) => prop_assert!(edit::worker_block(&text, &name).is_none()),
            Ok(set) => {
                prop_assert_eq!(others(&set), others(&text));
                let line = format!("replicas = {replicas}\n");
                prop_assert_eq!(set.replacen(&line, "", 1), text.clone());
                let block = edit::worker_block(&set, &name).unwrap();
                prop_assert_eq!(i64::from(worker(block).live.replicas), replicas);
                prop_assert_eq!(edit::remove_field(&set, &name, "replicas").unwrap(), text.clone());
            }
        }
        let mut left = text.clone();
        while let Ok(removed) = edit::remove_worker(&left, &name) {
            prop_assert!(removed.len() < left.len());
            left = removed;
        }
        prop_assert_eq!(edit::worker_block(&left, &name), None);
        for other in edit::blocks(&text).iter().filter(|block| block.kind == Kind::Worker && block.name.as_deref() != Some(&name)) {
            let core = edit::worker_block(other.text, other.name.as_deref().unwrap()).unwrap();
            prop_assert!(left.contains(core.trim_end()));
        }
    }

    #[test]
    fn printed_units_read_back(nanos in any::<u64>(), shift in 0..64u32, bytes in any::<u64>(), count in 1..=Rate::MOST, per in 1..=86_400_000u64) {
        let duration = Duration::from_nanos(nanos >> shift);
        prop_assert_eq!(parse_duration(&print_duration(duration)).unwrap(), duration);
        let bytes = (bytes >> shift) << (shift / 2);
        prop_assert_eq!(parse_size(&print_size(bytes)).unwrap(), bytes);
        let rate = Rate { count, per: Duration::from_millis(per) };
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn differences_are_none_only_between_equals(a in some_block(), b in some_block()) {
        let (a, b) = (worker(&a), worker(&b));
        let same = WorkerSpec { name: a.name.clone(), ..b.clone() };
        prop_assert_eq!(differences(&a, &same).is_empty(), a == same);
    }
}
