// SPDX-License-Identifier: MIT
//! The Rust peers: psm's switch to a stack that is there, and stacker, which maps one when too little is left.
//! The protocol is that of tests/bench/bench.h.
use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::io::{stdin, stdout, BufRead, Write};

const ROWS: [(&str, &str); 3] = [
    ("psm-on-stack", "Rust psm::on_stack"),
    ("stacker-stays", "Rust stacker::maybe_grow, enough stack left"),
    ("stacker-grow", "Rust stacker::grow, a mapped stack for the call"),
];

/// std::hint::black_box is not in Debian 12's Rust yet.
fn black_box<T>(value: T) -> T {
    unsafe {
        let kept = std::ptr::read_volatile(&value);
        std::mem::forget(value);
        kept
    }
}

#[inline(never)]
fn body(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    black_box(a) + b + c + d + e + f
}

fn ticks() -> u64 {
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

fn cycles(name: &str, count: u64, stack: &mut [u8]) -> Option<u64> {
    let base = ((stack.as_mut_ptr() as usize + 63) & !63) as *mut u8;
    let size = stack.len() - 64;
    let start = ticks();
    match name {
        "psm-on-stack" => (0..count).for_each(|_| {
            black_box(unsafe { psm::on_stack(base, size, || body(1, 2, 3, 4, 5, 6)) });
        }),
        "stacker-stays" => (0..count).for_each(|_| {
            black_box(stacker::maybe_grow(2048, 65536, || body(1, 2, 3, 4, 5, 6)));
        }),
        "stacker-grow" => (0..count).for_each(|_| {
            black_box(stacker::grow(16384, || body(1, 2, 3, 4, 5, 6)));
        }),
        _ => return None,
    }
    Some(ticks() - start)
}

extern "C" {
    fn sched_setaffinity(pid: i32, bytes: usize, mask: *const u64) -> i32;
}

fn pin() {
    let text = std::env::var("BENCH_CPUS").unwrap_or_default();
    if let Some(Ok(cpu)) = text.split(',').next().map(|part| part.parse::<usize>()) {
        let mut mask = [0u64; 16];
        mask[cpu / 64 % 16] = 1 << (cpu % 64);
        unsafe { sched_setaffinity(0, std::mem::size_of_val(&mask), mask.as_ptr()) };
    }
}

fn main() {
    let mut stack = vec![0u8; 65536 + 64];
    pin();
    for line in stdin().lock().lines().filter_map(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "list" {
            for (name, text) in ROWS.iter() {
                println!("{} 1 {}", name, text);
            }
            println!();
        } else if words.len() == 3 && words[0] == "run" {
            match cycles(words[1], words[2].parse().unwrap_or(0), &mut stack) {
                Some(total) => println!("{}", total),
                None => println!("failed: no row {}", words[1]),
            }
        } else {
            println!("failed: not understood");
        }
        stdout().flush().unwrap();
    }
}
