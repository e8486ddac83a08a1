//! Edits of a manifest's text: what is changed, and above all what isn't.

use skep::manifest::edit::{self, Block, EditError, Kind};

const EDITED: &str = "\
# Head of the file.

# The pages.
[[worker]]
name = \"a\" # the first
component = \"a.wasm\"
  [worker.limits]   # oddly indented
  memory = \"1MiB\"

# loose

[[limiter]]
name = \"a\"
rate = \"1/s\"

[[worker]]
name = 'b'
paused = false   # for now
component = \"b.wasm\"";

#[test]
fn blocks_hold_the_comments_above_them() {
    let blocks = edit::blocks(EDITED);
    let seen: Vec<_> = blocks.iter().map(|block| (block.kind, block.name.as_deref())).collect();
    assert_eq!(seen, [(Kind::Other, None), (Kind::Worker, Some("a")), (Kind::Limiter, Some("a")), (Kind::Worker, Some("b"))]);
    assert_eq!(blocks.iter().map(|block| block.text).collect::<String>(), EDITED);
    let a = edit::worker_block(EDITED, "a").unwrap();
    assert!(a.starts_with("# The pages.\n[[worker]]") && a.ends_with("memory = \"1MiB\"\n"), "{a}");
    assert_eq!(edit::worker_block(EDITED, "c"), None);
}

pub(super) fn block(text: &str) -> Block<'_> {
    let mut blocks = edit::blocks(text);
    assert_eq!(blocks.len(), 1);
    blocks.remove(0)
}

#[test]
fn a_block_is_put_where_its_name_stands() {
    let put = edit::put_block(EDITED, &block("[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n\n")).unwrap();
    let start = EDITED.find("[[worker]]").unwrap();
    let end = EDITED.find("\n# loose").unwrap();
    assert_eq!(put, format!("{}[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n{}", &EDITED[..start], &EDITED[end..]));
    let put = edit::put_block(EDITED, &block("# Mine.\n[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"")).unwrap();
    assert!(
        put.contains("\n\n# Mine.\n[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n\n# loose\n") && !put.contains("# The pages."),
        "{put}"
    );
    let put = edit::put_block(EDITED, &block("[[limiter]]\nname = \"b\"\nrate = \"1/s\"")).unwrap();
    assert_eq!(put, format!("{EDITED}\n\n[[limiter]]\nname = \"b\"\nrate = \"1/s\"\n"));
    assert_eq!(edit::put_block("", &block("[[worker]]\nname = \"c\"\n")).unwrap(), "[[worker]]\nname = \"c\"\n");
    for wrong in ["x = 1", "[[worker]]\ncomponent = \"a.wasm\"", "[[worker]]\nname = \"a\"\nname = \"a\"", "[worker]\nname = \"a\""] {
        assert!(matches!(edit::put_block(EDITED, &block(wrong)), Err(EditError::Syntax(_))), "{wrong}");
    }
    let open = "[[worker]]\nname = \"a\"\nnotes = \"\"\"\nnever closed";
    assert!(matches!(edit::put_block(open, &block("[[worker]]\nname = \"c\"")), Err(EditError::Syntax(_))));
}

#[test]
fn a_removed_worker_takes_its_comments_along() {
    let removed = edit::remove_worker(EDITED, "a").unwrap();
    assert_eq!(removed, format!("# Head of the file.\n\n{}", &EDITED[EDITED.find("# loose").unwrap()..]));
    let removed = edit::remove_worker(&removed, "b").unwrap();
    assert_eq!(removed, "# Head of the file.\n\n# loose\n\n[[limiter]]\nname = \"a\"\nrate = \"1/s\"\n");
    let missing = edit::remove_worker(&removed, "b").unwrap_err();
    assert_eq!(missing.to_string(), "worker \"b\" is not declared in this file");
    assert_eq!(edit::remove_worker("[[worker]]\nname = \"a\"\n", "a").unwrap(), "");
}

#[test]
fn a_field_is_set_in_place() {
    let set = |worker: &str, field: &str, value: toml_edit::Value| edit::set_field(EDITED, worker, field, value);
    assert_eq!(set("b", "paused", true.into()).unwrap(), EDITED.replace("paused = false   # for now", "paused = true   # for now"));
    let added = "component = \"a.wasm\"\nreplicas = 3\n  [worker.limits]";
    assert_eq!(set("a", "replicas", 3.into()).unwrap(), EDITED.replace("component = \"a.wasm\"\n  [worker.limits]", added));
    assert_eq!(set("b", "replicas", 3.into()).unwrap(), format!("{EDITED}\nreplicas = 3\n"));
    assert_eq!(set("c", "paused", true.into()).unwrap_err().to_string(), "worker \"c\" is not declared in this file");
    assert!(matches!(set("a", "limits", true.into()), Err(EditError::Syntax(_))), "a sub-table can't become a value");
    assert!(matches!(set("a", "name", "c".into()), Err(EditError::Syntax(_))), "a worker isn't renamed this way");
    assert_eq!(edit::remove_field(EDITED, "b", "paused").unwrap(), EDITED.replace("paused = false   # for now\n", ""));
    assert_eq!(edit::remove_field(EDITED, "a", "paused").unwrap(), EDITED);
    let crlf = "[[worker]]\r\nname = \"a\"\r\n";
    assert_eq!(edit::set_field(crlf, "a", "paused", true.into()).unwrap(), "[[worker]]\r\nname = \"a\"\r\npaused = true\r\n");
}

const LISTED: &str = "\
# Machines.
[[worker]]
name = \"pinger\" # all of them
component = \"pinger.wasm\"
each = \"machines\"
schedule = { every = \"60s\" } # slow

[worker.config]
packets = 3    # a round

# The disk station.
[[worker.config.machines]]
name = \"nas\"
address = \"192.168.1.10\"   # static
# every = \"1s\"

# loose

[[worker.config.machines]]
name = \"router\"
address = \"192.168.1.1\"

# The next one.
[[worker]]
name = \"pages\"
component = \"poller.wasm\"
config = { urls = [\"http://a/\", { url = \"http://b/\" }] }
";

fn set(of_item: bool, path: &str, value: impl Into<Option<toml_edit::Value>>) -> edit::Set {
    edit::Set { of_item, path: path.to_owned(), value: value.into() }
}

#[test]
fn single_values_are_set_and_every_comment_stays() {
    let change = |worker: &str, sets: &[edit::Set]| edit::change(LISTED, worker, sets).unwrap();
    let text = |text: &str| Some(toml_edit::Value::from(text));
    // In place, with the comment behind it.
    assert_eq!(change("pinger", &[set(false, "schedule.every", text("30s"))]), LISTED.replace("\"60s\" }", "\"30s\" }"));
    assert_eq!(change("pinger/nas", &[set(true, "address", text("10.0.0.1"))]), LISTED.replace("\"192.168.1.10\"   #", "\"10.0.0.1\"   #"));
    assert_eq!(change("pinger", &[set(false, "config.packets", Some(5.into()))]), LISTED.replace("packets = 3 ", "packets = 5 "));
    // New ones go where they belong.
    let titled = change("pinger/router", &[set(true, "title", text("Router \"R\"")), set(true, "tcp", Some(22.into()))]);
    assert_eq!(titled, LISTED.replace("\"192.168.1.1\"\n", "\"192.168.1.1\"\ntitle = 'Router \"R\"'\ntcp = 22\n"));
    let lan = change("pinger", &[set(false, "grants.ping.lan", Some(true.into()))]);
    assert_eq!(lan, LISTED.replace("# slow\n", "# slow\ngrants = { ping = { lan = true } }\n"));
    assert_eq!(change("pages", &[set(false, "config.urls.0", text("http://c/"))]), LISTED.replace("http://a/", "http://c/"));
    let pages = change("pages", &[set(false, "config.urls.1.url", text("http://c/")), set(false, "config.expect", text("200"))]);
    assert_eq!(pages, LISTED.replace("{ url = \"http://b/\" }] }", "{ url = \"http://c/\" }], expect = \"200\" }"));
    // And back out again, as if they had never been there.
    assert_eq!(edit::change(&pages, "pages", &[set(false, "config.expect", None)]).unwrap(), LISTED.replace("http://b/", "http://c/"));
    assert_eq!(edit::change(&titled, "pinger/router", &[set(true, "title", None), set(true, "tcp", None)]).unwrap(), LISTED);
    assert_eq!(change("pages", &[set(false, "checks.parent", None)]), LISTED);
    let crlf = LISTED.replace('\n', "\r\n");
    let changed = edit::change(&crlf, "pinger/nas", &[set(true, "address", text("10.0.0.1"))]).unwrap();
    assert_eq!(changed, crlf.replace("\"192.168.1.10\" ", "\"10.0.0.1\" "));

    let refused = |worker: &str, sets: &[edit::Set]| edit::change(LISTED, worker, sets).unwrap_err().to_string();
    assert_eq!(refused("nobody", &[]), "worker \"nobody\" is not declared in this file");
    assert_eq!(refused("pinger/tv", &[set(true, "address", text("a"))]), "item \"tv\" of config.machines is not declared in this file");
    assert!(refused("pinger", &[set(false, "config", text("a"))]).contains("edit the file"));
    assert!(refused("pages", &[set(false, "config.urls.7", text("a"))]).contains("edit the file"));
    assert!(refused("pages", &[set(false, "config.urls.0.url", text("a"))]).contains("edit the file"));
}

#[test]
fn one_item_leaves_its_list_and_nothing_else_does() {
    let nas = LISTED.find("# The disk station.").unwrap()..LISTED.find("# loose").unwrap();
    let without = edit::remove_item(LISTED, "pinger/nas").unwrap();
    assert!(!without.contains("192.168.1.10") && !without.contains("disk station"), "{without}");
    assert_eq!(without.replace("# every = \"1s\"\n\n", ""), LISTED.replace(&LISTED[nas], ""));
    let router = edit::remove_item(LISTED, "pinger/router").unwrap();
    assert_eq!(router, LISTED.replace("[[worker.config.machines]]\nname = \"router\"\naddress = \"192.168.1.1\"\n\n", ""));
    // The last one leaves an empty list, and the worker.
    let none = edit::remove_item(&without, "pinger/router").unwrap();
    assert!(none.contains("packets = 3    # a round\nmachines = []\n") && none.contains("# The next one."), "{none}");
    let mut parser = skep::manifest::Parser::new(None);
    let parsed = parser.parse("a.toml", &none);
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    assert_eq!(parsed.spec.unwrap().workers.len(), 1);

    let inline = "[[worker]]\nname = \"p\"\neach = \"m\"\nconfig = { m = [{ name = \"a\" }, { name = \"b\" }, { name = \"c\" }] } # all\n";
    for (gone, left) in [("p/a", "[{ name = \"b\" }, { name = \"c\" }]"), ("p/c", "[{ name = \"a\" }, { name = \"b\" }]")] {
        let out = edit::remove_item(inline, gone).unwrap();
        assert_eq!(out, inline.replace("[{ name = \"a\" }, { name = \"b\" }, { name = \"c\" }]", left));
    }
    for (worker, said) in [("pinger/tv", "item \"tv\""), ("pinger", "worker \"pinger\""), ("pages/x", "each is not written")] {
        let error = edit::remove_item(LISTED, worker).unwrap_err().to_string();
        assert!(error.contains(said), "{worker}: {error}");
    }
}

#[test]
fn an_items_text_is_its_own_part_of_the_file() {
    let (text, line) = edit::item_text(LISTED, "pinger/nas").unwrap();
    assert_eq!(text, "# The disk station.\n[[worker.config.machines]]\nname = \"nas\"\naddress = \"192.168.1.10\"   # static\n");
    assert_eq!(LISTED.lines().nth(line as usize - 1), Some("# The disk station."));
    let inline = "[[worker]]\nname = \"p\"\neach = \"m\"\nconfig.m = [\n  { name = \"a\" },\n  { name = \"b\" },\n]\n";
    assert_eq!(edit::item_text(inline, "p/b"), Some(("{ name = \"b\" }", 6)));
    assert_eq!(edit::item_text(LISTED, "pinger/tv"), None);
    assert_eq!(edit::worker_place(LISTED, "pages").unwrap().1, 23);
}
