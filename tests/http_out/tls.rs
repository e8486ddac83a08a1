//! Certificates, authorities, HTTP/2.

use skep::manifest::spec::HttpGrant;
use wasmtime_wasi_http::Error;

use super::{Server, Worker, client, get, grant, post, read};
pub use crate::support::authority::Authority;

#[tokio::test]
async fn a_self_signed_certificate_named_in_ca_is_trusted_as_itself_and_no_longer_than_it_says() {
    let (client, folder) = client();
    for (name, year, verdict) in [("127.0.0.1", 2096, "hello"), ("127.0.0.1", 2020, "expired"), ("other.test", 2096, "not valid for name")]
    {
        let (itself, config) = Authority::itself(name, year);
        itself.write(folder.path(), "ca.pem");
        let server = Server::start(Some(config)).await;
        let worker = Worker::of(&client, &HttpGrant { ca: Some("ca.pem".into()), ..grant(&["127.0.0.1"]) }, None);
        let said = match worker.get(&format!("https://{}/", server.address)).await {
            Ok((_, body)) => body,
            Err(error) => {
                assert!(matches!(error, Error::TlsCertificateError), "{error}");
                worker.told().to_lowercase()
            }
        };
        assert!(said.contains(verdict), "{name} {year}: {said}");
    }
}

#[tokio::test]
async fn only_the_authorities_of_ca_are_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = Server::start(Some(ours.server(&["127.0.0.1"]))).await;
    let url = format!("https://{}/", server.address);
    let (client, folder) = client();
    ours.write(folder.path(), "ours.pem");
    theirs.write(folder.path(), "theirs.pem");
    let with = |ca: Option<&str>| Worker::of(&client, &HttpGrant { ca: ca.map(str::to_owned), ..grant(&["127.0.0.1"]) }, None);

    assert_eq!(with(Some("ours.pem")).get(&url).await.unwrap().1, "hello");
    for ca in [Some("theirs.pem"), None] {
        let worker = with(ca);
        assert!(matches!(worker.get(&url).await, Err(Error::TlsCertificateError)));
        assert_eq!(worker.told().split(' ').next().unwrap(), format!("{url}:"));
    }
    let stranger = with(Some("theirs.pem"));
    let _ = stranger.get(&url).await;
    assert!(stranger.told().ends_with("UnknownIssuer; name its authority's PEM file in grants.http.ca"), "{}", stranger.told());
}

#[tokio::test]
async fn an_expired_certificate_or_one_for_another_name_is_refused_and_says_why() {
    let authority = Authority::new();
    let (client, folder) = client();
    authority.write(folder.path(), "ca.pem");
    let checked = HttpGrant { ca: Some("ca.pem".into()), ..grant(&["127.0.0.1"]) };
    for (config, reason) in
        [(authority.until(&["127.0.0.1"], 2020, &[b"http/1.1"]), "expired"), (authority.server(&["other.test"]), "not valid for name")]
    {
        let server = Server::start(Some(config)).await;
        let url = format!("https://{}/", server.address);
        let worker = Worker::of(&client, &checked, None);
        assert!(matches!(worker.get(&url).await, Err(Error::TlsCertificateError)));
        assert!(worker.told().to_lowercase().contains(reason), "{}", worker.told());
        assert_eq!(worker.ledger.failure(&url).map(|text| format!("{url}: {text}")), Some(worker.told()));

        let careless = Worker::of(&client, &HttpGrant { verify: false, ..grant(&["127.0.0.1"]) }, None);
        assert_eq!(careless.get(&url).await.unwrap().0, 200);
        assert!(careless.ledger.evidence(&url).unwrap().certificate_expires.is_some());
    }
}

#[tokio::test]
async fn a_ca_that_is_missing_or_no_pem_is_an_error_when_the_worker_is_made() {
    let (client, folder) = client();
    let with = |ca: &str| client.outbound("pages", Some(&HttpGrant { ca: Some(ca.into()), ..grant(&[]) }), None).err().unwrap();
    assert_eq!(with("gone.pem"), "worker \"pages\": grants.http.ca = \"gone.pem\": No such file or directory (os error 2)");
    std::fs::create_dir_all(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/text.pem"), "hello").unwrap();
    assert_eq!(with("text.pem"), "worker \"pages\": grants.http.ca = \"text.pem\": it has no certificate (-----BEGIN CERTIFICATE-----)");
}

#[tokio::test]
async fn http_2_shares_one_connection_among_requests_at_once() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["127.0.0.1"]))).await;
    let origin = format!("https://{}", server.address);
    let (client, folder) = client();
    authority.write(folder.path(), "ca.pem");
    let worker = Worker::of(&client, &HttpGrant { ca: Some("ca.pem".into()), ..grant(&[&origin]) }, None);
    worker.get(&origin).await.unwrap();
    let (line, headers) = server.last_head();
    assert_eq!(line, format!("GET {origin}/ HTTP/2.0"));
    assert!(headers.get("host").is_none(), "HTTP/2 has :authority instead");

    let urls: Vec<_> = (0..30).map(|n| format!("{origin}/{n}")).collect();
    let answers = futures_util::future::join_all(urls.iter().map(|url| worker.get(url))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().1 == "hello"));
    let posted = worker.send(post(&format!("{origin}/echo"), 300_000), Default::default()).await.unwrap();
    assert_eq!(read(posted).await.unwrap().1, "300000");
    // One that is given up resets its stream and leaves the rest alone.
    drop(worker.head(&format!("{origin}/endless")).await.unwrap());
    worker.get(&origin).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn http_2_keeps_the_bounds() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["127.0.0.1"]))).await;
    let origin = format!("https://{}", server.address);
    let worker = Worker::with(&HttpGrant { verify: false, ..grant(&[&origin]) }, |settings| settings.max_body_bytes = 200_000);
    let error = worker.get(&format!("{origin}/endless")).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseBodySize(Some(200_000))), "{error}");
    let error = worker.send(post(&format!("{origin}/echo"), 250_000), Default::default()).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(200_000))), "{error}");
    worker.send(get(&origin), Default::default()).await.unwrap();
    assert_eq!(server.accepted(), 1);
}
