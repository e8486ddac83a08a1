//! A fault plugin for tests: an ordinary command-line program, nothing of skep's in it. It says what it was given, on stdout, then
//! does as its arguments say, one after the other: `--warn TEXT` (on stderr), `--sleep MS`, `--forever`, `--spin`, `--panic`,
//! `--exit N`, `--return N` (from `main`), `--end TEXT` (without a newline). Without any of them it returns 0 from `main`.
//!
//! Must not be deployed for anything but tests.

#![allow(clippy::disallowed_methods, reason = "sleeping is what it is told to do")]

use std::{
    hint::black_box,
    io::{Read, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let mut env: Vec<_> = std::env::vars().collect();
    env.sort();
    let mut stdin = String::new();
    let read = std::io::stdin().read_to_string(&mut stdin);
    println!("args {args:?}");
    println!("env {env:?}");
    println!("stdin {:?}", read.map(|_| stdin));
    let mut told = args.into_iter().skip(1);
    while let Some(word) = told.next() {
        let mut value = || told.next().unwrap_or_default();
        match word.as_str() {
            "--warn" => eprintln!("{}", value()),
            "--sleep" => thread::sleep(Duration::from_millis(value().parse().unwrap_or_default())),
            "--forever" => loop {
                thread::sleep(Duration::from_secs(3_600));
            },
            "--spin" => spin(),
            "--panic" => fail(),
            "--exit" => std::process::exit(value().parse().unwrap_or_default()),
            // What `main` returns is a status as well.
            "--return" => return ExitCode::from(value().parse::<u8>().unwrap_or_default()),
            "--end" => {
                print!("{}", value());
                // Nobody else would push half a line out.
                let _ = std::io::stdout().flush();
            }
            _ => {}
        }
    }
    ExitCode::SUCCESS
}

#[inline(never)]
fn spin() {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[allow(clippy::panic, reason = "it is what this program is for")]
fn fail() {
    panic!("as told");
}
