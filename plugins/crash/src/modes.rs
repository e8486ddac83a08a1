//! The ways to crash, one function each, named so that a test can find them in a trap record's backtrace.
//!
//! Must not be inlined or optimised away: that is what `inline(never)` and `black_box` are for.

use std::hint::black_box;

use crate::{
    Mode,
    bindings::{
        skep::worker::log::{Level, write},
        wasi::clocks::monotonic_clock,
    },
};

/// Ends the event as `mode` says.
pub fn run(mode: Mode, message: &str) -> Result<(), String> {
    match mode {
        Mode::Ok | Mode::InitErr | Mode::InitPanic => Ok(()),
        Mode::Err => Err(message.to_owned()),
        Mode::Panic => crash_by_panic(message),
        Mode::Unreachable => crash_by_unreachable(),
        Mode::Oom => crash_by_memory(),
        Mode::Stack => {
            crash_by_recursion(1);
            Ok(())
        }
        Mode::StackNative => {
            black_box(crash_by_native_recursion(1));
            Ok(())
        }
        Mode::Handles => crash_by_handles(),
        Mode::Exit => std::process::exit(1),
    }
}

#[inline(never)]
#[allow(clippy::panic, reason = "a panic is what was asked for")]
fn crash_by_panic(message: &str) -> ! {
    write(Level::Debug, "about to panic");
    write(Level::Warn, "these lines belong into the trap record");
    panic!("{message}");
}

#[inline(never)]
fn crash_by_unreachable() -> ! {
    core::arch::wasm32::unreachable()
}

/// Keeps what it gets, a mebibyte at a time, until the allocator gives up.
#[inline(never)]
fn crash_by_memory() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Frames of 4 KiB use up linear memory's stack (1 MiB) long before the engine's.
#[inline(never)]
#[allow(unconditional_recursion, reason = "that it never ends is the point")]
fn crash_by_recursion(depth: u64) -> u64 {
    let mut frame = [0_u8; 4096];
    black_box(&mut frame).fill(depth.to_le_bytes()[0]);
    let below = crash_by_recursion(black_box(depth) + 1);
    below ^ u64::from(black_box(&frame).iter().fold(0_u8, |sum, byte| sum ^ byte))
}

/// Small frames that live in wasm locals only: the engine's stack ends first. The way out is never taken; it keeps the optimiser
/// from seeing that this never returns.
#[inline(never)]
fn crash_by_native_recursion(depth: u64) -> u64 {
    if core::arch::wasm32::memory_size(0) == usize::MAX {
        return depth;
    }
    crash_by_native_recursion(depth.rotate_left(7) ^ depth.wrapping_add(1)).rotate_left(3) ^ depth
}

/// Timers that are never dropped, until the host refuses the next one.
#[inline(never)]
fn crash_by_handles() -> ! {
    loop {
        std::mem::forget(monotonic_clock::subscribe_duration(u64::MAX));
    }
}
