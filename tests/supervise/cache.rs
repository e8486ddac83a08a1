//! The component cache: many loads at once, code that went bad, a disk that takes nothing.

use std::path::Path;

use futures_util::future::join_all;
use skep::worker::Components;

use crate::bench::plugins;

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn components(data: &Path) -> Components {
    Components::new(super::engines(), data).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_loads_of_one_file_at_once_all_succeed_and_leave_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let components = components(data.path());
    let path = plugins().join("echo.wasm");
    for loaded in join_all((0..16).map(|_| components.load_file(&path))).await {
        loaded.unwrap();
    }
    assert_eq!(names(&data.path().join("compiled")).len(), 1, "one engine's code, and no half-written file");
    assert_eq!(names(&data.path().join("components")).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_that_went_bad_is_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let path = plugins().join("echo.wasm");
    components(data.path()).load_file(&path).await.unwrap();
    let compiled = data.path().join("compiled");
    let code = compiled.join(&names(&compiled)[0]);
    let whole = std::fs::metadata(&code).unwrap().len();
    std::fs::write(&code, b"not code").unwrap();
    components(data.path()).load_file(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&code).unwrap().len(), whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_takes_nothing_is_no_reason_not_to_run() {
    let data = tempfile::tempdir().unwrap();
    let components = components(data.path());
    for folder in ["compiled", "components"] {
        // Nothing can be created in a file.
        std::fs::remove_dir(data.path().join(folder)).unwrap();
        std::fs::write(data.path().join(folder), b"").unwrap();
    }
    let component = components.load_file(&plugins().join("echo.wasm")).await.unwrap();
    assert!(component.surface.call);
}
