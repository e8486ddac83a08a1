//! Whose secrets go where, and that they are masked everywhere else.

use std::{collections::HashMap, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use http::HeaderMap;
use skep::{
    capability::{
        grant::Origin,
        secrets::{Secrets, Sources, Terms},
    },
    clock::Clock,
    manifest::spec::HttpGrant,
};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{Server, Worker, client, get, grant, read, tls::Authority};

const VALUE: &str = "s3cr3t-value";

fn write(data: &Path, name: &str, text: &str, mode: u32) {
    std::fs::create_dir_all(data.join("secrets")).unwrap();
    let file = data.join("secrets").join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn written(origin: &str) -> String {
    format!("origins = [\"{origin}\"]\nvalue = \"{VALUE}\"\n")
}

/// Asks the server which Authorization it got.
async fn bearer(worker: &Worker, url: &str, value: &str) -> Result<String, Error> {
    let mut request = get(url);
    request.headers_mut().insert("authorization", value.parse().unwrap());
    Ok(read(worker.send(request, RequestOptions::default()).await?).await?.1)
}

#[tokio::test]
async fn a_secret_goes_to_its_own_origin_and_is_masked_everywhere_else() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["127.0.0.1"]))).await;
    let origin = format!("https://{}", server.address);
    let (client, folder) = client();
    authority.write(folder.path(), "ca.pem");
    write(folder.path(), "api-key", &written(&origin), 0o600);
    let worker = Worker::of(&client, &HttpGrant { ca: Some("ca.pem".into()), ..grant(&["127.0.0.1"]) }, None);
    let url = format!("{origin}/authorization");

    assert_eq!(client.mask(VALUE), VALUE, "not used yet, so not known yet");
    assert_eq!(bearer(&worker, &url, "Bearer secret:api-key").await.unwrap(), format!("Bearer {VALUE}"));
    assert_eq!(bearer(&worker, &url, "secret:api-key, secret:api-key").await.unwrap(), format!("{VALUE}, {VALUE}"));
    assert_eq!(bearer(&worker, &url, "secret: nothing").await.unwrap(), "secret: nothing");
    // The server echoed it, so the guest has it; what people see does not.
    assert_eq!(worker.ledger.evidence(&url).unwrap().excerpt.as_deref(), Some("secret: nothing"));
    bearer(&worker, &url, "Bearer secret:api-key").await.unwrap();
    assert_eq!(worker.ledger.evidence(&url).unwrap().excerpt.as_deref(), Some("Bearer secret:api-key"));
    assert_eq!(client.mask(&format!("got {VALUE}, {VALUE}!")), "got secret:api-key, secret:api-key!");

    let elsewhere = Server::start(Some(authority.server(&["127.0.0.1"]))).await;
    let refused = bearer(&worker, &format!("https://{}/", elsewhere.address), "Bearer secret:api-key").await;
    assert!(matches!(refused, Err(Error::HttpRequestDenied)));
    let target = format!("https://{}", elsewhere.address);
    assert_eq!(
        worker.told(),
        format!("worker \"pages\" may not send secret \"api-key\" to {target}: add \"{target}\" to origins in secrets/api-key")
    );
    assert_eq!(elsewhere.accepted(), 0);

    let careless = Worker::of(&client, &HttpGrant { verify: false, ..grant(&["127.0.0.1"]) }, None);
    assert!(matches!(bearer(&careless, &url, "secret:api-key").await, Err(Error::HttpRequestDenied)));
    assert!(careless.told().contains("without checking its certificate: set grants.http.verify = true"), "{}", careless.told());
}

#[tokio::test]
async fn plain_http_carries_a_secret_only_with_lan() {
    let server = Server::plain().await;
    let (client, folder) = client();
    write(folder.path(), "nas", &written(&server.url("")), 0o600);
    let worker = Worker::of(&client, &grant(&[&server.url("")]), None);
    assert!(matches!(bearer(&worker, &server.url("/authorization"), "secret:nas").await, Err(Error::HttpRequestDenied)));
    assert_eq!(
        worker.told(),
        format!(
            "worker \"pages\" may not send secret \"nas\" to {} over plain HTTP: use https, or set grants.http.lan = true",
            server.url("")
        )
    );
    // A local network written out lets the address be reached, not a secret be read on the way.
    let network = Worker::of(&client, &grant(&["127.0.0.0/8"]), None);
    assert!(matches!(bearer(&network, &server.url("/authorization"), "secret:nas").await, Err(Error::HttpRequestDenied)));
    let lan = Worker::of(&client, &HttpGrant { lan: true, ..grant(&[&server.url("")]) }, None);
    assert_eq!(bearer(&lan, &server.url("/authorization"), "secret:nas").await.unwrap(), VALUE);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_says_why_and_never_what_it_is() {
    let server = Server::plain().await;
    let (client, folder) = client();
    let worker = Worker::of(&client, &HttpGrant { lan: true, ..grant(&[&server.url("")]) }, None);
    let good = written(&server.url(""));
    for (name, text, mode, reason) in [
        ("open", good.as_str(), 0o644, "secrets/open: others may read it (mode 644): chmod 600 it"),
        ("raw", VALUE, 0o600, "secrets/raw: it must be TOML with origins"),
        ("number", "origins = []\nvalue = 5330123", 0o600, "secrets/number: it must be TOML with origins"),
        ("short", "origins = []\nvalue = \"abc\"", 0o600, "secrets/short: its value must have 4 to 4096 bytes"),
        ("lines", "origins = []\nvalue = \"abc\\ndef\"", 0o600, "secrets/lines: its value has control characters"),
        ("where", "origins = [\"example\"]\nvalue = \"abcdef\"", 0o600, "secrets/where: \"example\" in origins is no http or https origin"),
    ] {
        write(folder.path(), name, text, mode);
        let refused = bearer(&worker, &server.url("/"), &format!("secret:{name}")).await;
        assert!(matches!(refused, Err(Error::HttpRequestDenied)), "{name}");
        let told = worker.told();
        assert!(told.starts_with(&format!("worker \"pages\" may not send secret \"{name}\": {reason}")), "{told}");
        assert!(!told.contains(VALUE) && !told.contains("5330123"), "{told}");
    }
    let _ = bearer(&worker, &server.url("/"), "secret:gone").await;
    assert!(worker.told().contains("secrets/gone: it is not there; write the file into the data folder"), "{}", worker.told());
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn secrets_come_from_the_environment_and_systemd_too_and_rotate() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    let text = |value: &str| format!("origins = [\"https://example.org\"]\nvalue = \"{value}\"");
    let variables = HashMap::from([("SKEP_SECRET_API_KEY".to_owned(), text("from-environment"))]);
    std::fs::write(credentials.path().join("unit"), text("from-systemd")).unwrap();
    let sources = Sources {
        folder: folder.path().join("secrets"),
        variable: Arc::new(move |name| variables.get(name).cloned()),
        credentials: Some(credentials.path().to_owned()),
    };
    let origin = Origin::of(&"https://example.org/".parse().unwrap()).unwrap();
    let secrets = Secrets::new(sources, Clock::system());
    let filled = async |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-key", value.parse().unwrap());
        secrets.fill(&mut headers, &origin, Terms { verify: true, lan: false }, &"pages".into()).await.unwrap();
        assert!(headers["x-key"].is_sensitive());
        headers["x-key"].to_str().unwrap().to_owned()
    };
    assert_eq!(filled("secret:api-key").await, "from-environment");
    assert_eq!(filled("a secret:unit b").await, "a from-systemd b");
    write(folder.path(), "file", &text("first-value"), 0o600);
    assert_eq!(filled("secret:file").await, "first-value");
    write(folder.path(), "file", &text("second-value"), 0o600);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    tokio::time::resume();
    assert_eq!(filled("secret:file").await, "second-value");
    let masker = secrets.masker();
    assert_eq!(masker.mask("first-value second-value"), "secret:file secret:file", "the old one is still no one's business");
    // A value that crosses the end of an excerpt is masked whole.
    assert_eq!(masker.mask_start("xx second-value yy", 7), "xx secret:file");
    assert_eq!(masker.mask_start("xx second-value yy", 3), "xx ");
}
