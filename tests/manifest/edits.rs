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
