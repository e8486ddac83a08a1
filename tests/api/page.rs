//! The page's files as a browser gets them, and signing in and out.

use std::{fs, path::Path};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ADMIN, READ, whole::Whole};

const FOLDER: &str = "host/api/page/assets";

/// Every file of the page, relative to its folder.
fn files() -> Vec<String> {
    fn below(folder: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => below(&entry, all),
                false => all.push(entry.strip_prefix(FOLDER).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut all = Vec::new();
    below(Path::new(FOLDER), &mut all);
    all.sort();
    all
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_file_is_served_as_it_is_and_revalidated() {
    let host = Whole::with(&[]).await;
    for file in files() {
        let get = || host.bare(Method::GET, &format!("/page/{file}"));
        let response = get().send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}: build.rs did not list it");
        let name = file.rsplit('/').next().unwrap();
        let kind = match name.rsplit('.').next().unwrap() {
            "html" => "text/html; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "md" | "txt" => "text/plain; charset=utf-8",
            _ if name.starts_with("LICENSE") => "text/plain; charset=utf-8",
            "webmanifest" => "application/manifest+json",
            _ => panic!("{file}: say here what it is"),
        };
        assert_eq!(header(&response, "content-type"), kind, "{file}");
        assert_eq!(header(&response, "cache-control"), "no-cache", "{file}");
        let etag = header(&response, "etag").to_owned();
        assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
        assert_eq!(response.bytes().await.unwrap(), fs::read(Path::new(FOLDER).join(&file)).unwrap(), "{file}");
        for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
            let same = get().header("if-none-match", known).send().await.unwrap();
            assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, etag.as_str()), "{file}");
            assert!(same.bytes().await.unwrap().is_empty());
        }
        assert_eq!(get().header("if-none-match", "\"other\"").send().await.unwrap().status(), 200);
    }
    let missing = host.bare(Method::GET, "/page/nowhere.js").send().await.unwrap();
    assert_eq!((missing.status().as_u16(), header(&missing, "cache-control")), (404, "no-store"));
    assert_eq!(host.bare(Method::GET, "/page/../../../Cargo.toml").send().await.unwrap().status(), 401, "there is no such path");
}

#[tokio::test]
async fn the_page_is_at_the_root_and_may_run_nothing_but_its_own_files() {
    let host = Whole::with(&[]).await;
    let page = host.bare(Method::GET, "/").send().await.unwrap();
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html; charset=utf-8"));
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    for (name, value) in [("x-frame-options", "DENY"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")] {
        assert_eq!(header(&page, name), value);
    }
    let html = page.text().await.unwrap();
    assert!(html.to_lowercase().starts_with("<!doctype html>"));
    for inline in [" onclick=", " onload=", " style=\"", "<style", "javascript:"] {
        assert!(!html.contains(inline), "the policy does not let it: {inline}");
    }
    assert!(html.match_indices("<script").all(|(at, _)| html[at..].split('>').next().unwrap().contains("src=")), "no script within markup");
    // Answers of the API load nothing at all.
    let api = host.bare(Method::GET, "/api/v1/session").bearer_auth(READ).send().await.unwrap();
    assert_eq!(header(&api, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert_eq!((header(&api, "cache-control"), header(&api, "x-frame-options")), ("no-store", "DENY"));
    assert_eq!(header(&api, "cross-origin-resource-policy"), "same-origin");
}

#[test]
fn what_others_wrote_is_as_they_wrote_it() {
    let vendored: Vec<String> = files().into_iter().filter(|file| file.starts_with("vendor/") && file != "vendor/VENDOR.md").collect();
    if vendored.is_empty() {
        return;
    }
    let list = fs::read_to_string(Path::new(FOLDER).join("vendor/VENDOR.md")).unwrap();
    for file in &vendored {
        let (folder, name) = file.rsplit_once('/').unwrap();
        if name.starts_with("LICENSE") {
            continue;
        }
        let bytes = fs::read(Path::new(FOLDER).join(file)).unwrap();
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let line = list.lines().find(|line| line.contains(file.strip_prefix("vendor/").unwrap()));
        let line = line.unwrap_or_else(|| panic!("{file}: not in VENDOR.md"));
        assert!(line.contains(&digest), "{file}: VENDOR.md says {line}, it is {digest}");
        assert!(vendored.iter().any(|other| other.starts_with(&format!("{folder}/LICENSE"))), "{file}: its licence comes along");
    }
}

#[tokio::test]
async fn a_link_signs_in_and_the_cookie_does_from_then_on() {
    let host = Whole::with(&[]).await;
    for (token, access) in [(ADMIN, "admin"), (READ, "read")] {
        let answer = host.bare(Method::GET, &format!("/login?token={token}")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, "/"));
        assert_eq!((header(&answer, "cache-control"), header(&answer, "referrer-policy")), ("no-store", "no-referrer"));
        let cookie = header(&answer, "set-cookie").to_owned();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(token), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();

        let ask = |method: Method, path: &str| host.bare(method, path).header("cookie", &cookie);
        let session: Value = ask(Method::GET, "/api/v1/session").send().await.unwrap().json().await.unwrap();
        assert_eq!(session, json!({ "access": access }));
        // A change needs to come from the page, and the right to make it.
        let restart = || ask(Method::POST, "/api/v1/workers/nobody/restart");
        let blind = restart().send().await.unwrap();
        assert_eq!(blind.status(), 403);
        let said = blind.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned();
        assert!(said.contains("must come from the page"), "{said}");
        let from_page = restart().header("origin", host.origin()).send().await.unwrap().status();
        assert_eq!(from_page, if access == "admin" { 404 } else { 403 });
        let foreign = restart().header("origin", "http://evil.example").header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert_eq!(foreign.status(), 403);
    }
    // Without a token the page asks for it; with a wrong one a page says so.
    let none = host.bare(Method::GET, "/login").send().await.unwrap();
    assert_eq!((none.status().as_u16(), header(&none, "set-cookie")), (303, ""));
    let wrong = host.bare(Method::GET, "/login?token=%3Cscript%3E").send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), header(&wrong, "set-cookie")), (401, ""));
    assert!(header(&wrong, "content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"), "{wrong:?}");
    let page = wrong.text().await.unwrap();
    assert!(page.contains("admin.token") && page.contains("<form method=\"post\"") && !page.contains("script"), "{page}");
    assert_eq!(host.bare(Method::GET, "/api/v1/session").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_form_signs_in_for_pages_and_for_scripts_of_pages() {
    let host = Whole::with(&[]).await;
    let form = |token: &str| {
        let body = format!("other=1&token={token}");
        host.bare(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let answer = form(ADMIN).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, "/"));
    assert!(header(&answer, "set-cookie").contains("HttpOnly"));
    assert_eq!(form("wrong").send().await.unwrap().status(), 401);

    let answer = form(&format!("%20{READ}%0A")).header("accept", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 200, "blanks around it come from copying");
    assert!(header(&answer, "set-cookie").contains("HttpOnly"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "access": "read" }));
    let wrong = form("wrong").header("accept", "application/json").send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), header(&wrong, "content-type")), (401, "application/json"));
    assert!(wrong.json::<Value>().await.unwrap()["hint"].as_str().unwrap().contains("admin.token"));

    // Another site's page can neither sign anybody in nor out.
    for path in ["/login", "/logout"] {
        let foreign = host.bare(Method::POST, path).header("origin", "http://evil.example").body(format!("token={ADMIN}"));
        let refused = foreign.send().await.unwrap();
        assert_eq!((refused.status().as_u16(), header(&refused, "set-cookie")), (403, ""), "{path}");
    }
    assert_eq!(form(&"x".repeat(9 << 10)).send().await.unwrap().status(), 413);
    let out = host.bare(Method::POST, "/logout").send().await.unwrap();
    assert_eq!((out.status().as_u16(), header(&out, "location")), (303, "/"));
    assert!(header(&out, "set-cookie").contains("=; Path=/; Max-Age=0"));
    let out = host.bare(Method::POST, "/logout").header("accept", "application/json").send().await.unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(host.bare(Method::GET, "/logout").send().await.unwrap().status(), 405);
}
