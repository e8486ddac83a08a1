//! Attempts on the machine itself: files, environment, standard input, sockets, names.

use std::{
    io::Read,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
};

use crate::Attempt;

pub fn attempts<'t>(tcp: impl Iterator<Item = &'t String>, files: impl Iterator<Item = &'t String>) -> Vec<Attempt> {
    let mut all = vec![
        listing("/"),
        listing("."),
        reading("/etc/passwd"),
        reading("../../etc/passwd"),
        reading("/proc/self/environ"),
        writing("/tmp/snoop"),
    ];
    all.extend(files.map(|path| reading(path)));
    all.extend([environment(), arguments(), standard_input(), listening(), sending(), resolving("localhost")]);
    all.extend([connecting("127.0.0.1:22"), connecting("127.0.0.1:7700"), connecting("169.254.169.254:80")]);
    all.extend(tcp.map(|address| connecting(address)));
    all
}

fn reading(path: &str) -> Attempt {
    let result = std::fs::read(path).map(|bytes| format!("{} bytes", bytes.len()));
    Attempt::new(format!("read {path}"), result.map_err(|e| e.to_string()))
}

fn writing(path: &str) -> Attempt {
    Attempt::new(format!("write {path}"), std::fs::write(path, "").map(|()| "written".into()).map_err(|e| e.to_string()))
}

fn listing(path: &str) -> Attempt {
    let result = std::fs::read_dir(path).map(|entries| format!("{} entries", entries.count()));
    Attempt::new(format!("list {path}"), result.map_err(|e| e.to_string()))
}

fn environment() -> Attempt {
    let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    Attempt::new("environment", if names.is_empty() { Err("empty".into()) } else { Ok(names.join(",")) })
}

fn arguments() -> Attempt {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    Attempt::new("arguments", if arguments.is_empty() { Err("empty".into()) } else { Ok(arguments.join(" ")) })
}

fn standard_input() -> Attempt {
    let mut bytes = Vec::new();
    let result = match std::io::stdin().take(1024).read_to_end(&mut bytes) {
        Ok(0) => Err("empty".into()),
        Ok(n) => Ok(format!("{n} bytes")),
        Err(error) => Err(error.to_string()),
    };
    Attempt::new("standard input", result)
}

fn connecting(address: &str) -> Attempt {
    Attempt::new(format!("tcp {address}"), TcpStream::connect(address).map(|_| "connected".into()).map_err(|e| e.to_string()))
}

fn listening() -> Attempt {
    Attempt::new("listen", TcpListener::bind("127.0.0.1:0").map(|_| "bound".into()).map_err(|e| e.to_string()))
}

fn sending() -> Attempt {
    let result = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"snoop", "127.0.0.1:9"));
    Attempt::new("udp", result.map(|_| "sent".into()).map_err(|e| e.to_string()))
}

fn resolving(name: &str) -> Attempt {
    let result = (name, 80).to_socket_addrs().map(|addresses| format!("{} addresses", addresses.count()));
    Attempt::new(format!("resolve {name}"), result.map_err(|e| e.to_string()))
}
