//! The smallest HTTP client: sends exactly the headers a test wants, over a socket of its own, and follows streams line by line.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::mpsc,
};

use serde_json::Value;

use super::{Host, PATIENCE};

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }
}

/// A POST with a body and a token.
pub fn post(at: &str, path: &str, token: &str, body: &str) -> Answer {
    with_body(at, "POST", path, token, body)
}

/// A PUT, as [`post`].
pub fn put(at: &str, path: &str, token: &str, body: &str) -> Answer {
    with_body(at, "PUT", path, token, body)
}

fn with_body(at: &str, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let length = body.len().to_string();
    let headers = [("Authorization", token), ("Content-Length", &length), ("Connection", "close")];
    let mut reader = send(at, method, path, &headers, body);
    answer(&mut reader)
}

/// `at`: as announced, `http://127.0.0.1:7700`. A `Host` among `headers` replaces the right one.
pub fn ask(at: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    answer(&mut send(at, method, path, &[headers, &[("Connection", "close"), ("Content-Length", "0")]].concat(), ""))
}

fn answer(reader: &mut BufReader<TcpStream>) -> Answer {
    let (status, headers) = head(reader);
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    Answer { status, headers, body }
}

fn send(at: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> BufReader<TcpStream> {
    let address = at.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    // A host that refuses by the head need not take the body; its answer is there all the same.
    let _ = stream.write_all(body.as_bytes());
    BufReader::new(stream)
}

fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut lines = reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap()).collect();
    (status, headers)
}

/// Follows a stream; its lines come through the channel as they arrive.
pub fn follow(at: &str, path: &str, headers: &[(&str, &str)]) -> mpsc::Receiver<String> {
    let mut reader = send(at, "GET", path, headers, "");
    let (status, headers) = head(&mut reader);
    assert_eq!(status, 200, "{headers:?}");
    assert!(headers.iter().any(|header| header.1 == "text/event-stream"), "{headers:?}");
    let (tell, lines) = mpsc::channel();
    std::thread::spawn(move || reader.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    lines
}

impl Host {
    /// A token of the data folder, as a header's value.
    pub fn bearer(&self, name: &str) -> String {
        let token = std::fs::read_to_string(self.data().join(name)).unwrap();
        format!("Bearer {}", token.trim())
    }

    /// GET with the read token.
    pub fn get(&self, path: &str) -> Answer {
        ask(&self.admin, "GET", path, &[("Authorization", &self.bearer("read.token"))])
    }
}
