//! What ten million queued calls take: memory beside their own strings, the pause in which a snapshot is frozen, and the
//! time from a snapshot in memory to a state.
//!
//! One JSON object per line on stdout, the profile of what was measured on stderr.
#![expect(clippy::disallowed_macros, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]
#![expect(clippy::disallowed_types, reason = "a benchmark measures")]

mod house;

use std::time::Instant;

use busyhour_controller_core::State;
use house::{House, START, TENANTS};

fn main() {
    let empty = resident();
    let mut house = House::new(START, Vec::new());
    let declared = resident();
    house.submit_batches();
    let batches = resident();
    let (lines, line_strings) = house.taken();
    house.submit_calls();
    let held = resident();
    let (all, strings) = house.taken();
    let per =
        |bytes: usize, strings: u64, calls: u64| (bytes as f64 - strings as f64) / calls as f64;
    let (calls, call_strings) = (all - lines, strings - line_strings);
    let line = per(batches - declared, line_strings, lines);
    let call = per(held - batches, call_strings, calls);
    let value = per(held - declared, strings, all);
    eprintln!(
        "{TENANTS} tenants: {} MB; {lines} lines of batches: {line:.1} B each beside {:.1} B of strings; {calls} single \
         calls: {call:.1} B each beside {:.1} B of strings; {} MB in all",
        (declared - empty) >> 20,
        line_strings as f64 / lines as f64,
        call_strings as f64 / calls as f64,
        held >> 20,
    );
    println!(
        concat!(
            r#"{{"id":"engine.bytes_per_request","value":{:.1},"unit":"B","better":"less","peer":null,"peer_value":null,"ratio":null,"#,
            r#""how":"resident memory of the whole state with {} queued calls of {} tenants, less that without calls, less the bytes of the callers' own strings, each string counted as often as a caller gave it only if no spec shares it; {:.1} B a line of a batch (number and custom id its own), {:.1} B a single call (number and custom id its own, the rest as the tenant's last)"}}"#
        ),
        value, all, TENANTS, line, call,
    );
    let began = Instant::now();
    let frozen = house.state.freeze();
    let pause = began.elapsed();
    let began = Instant::now();
    let mut bytes = Vec::with_capacity(1 << 30);
    frozen.write(&mut bytes).expect("memory takes every byte");
    let wrote = began.elapsed();
    let began = Instant::now();
    let restored = State::read(&mut bytes.as_slice()).expect("a state");
    let read = began.elapsed();
    assert_eq!(restored.digest(), house.state.digest());
    eprintln!(
        "frozen in {pause:?}, written to {} MB in {wrote:?}, read in {read:?}",
        bytes.len() >> 20
    );
    println!(
        concat!(
            r#"{{"id":"snapshot.pause_ms_10m","value":{:.1},"unit":"ms","better":"less","peer":null,"peer_value":null,"ratio":null,"#,
            r#""how":"how long entries wait while a state of {} queued calls of {} tenants is frozen for a snapshot; writing it ({} MB) goes on beside"}}"#
        ),
        pause.as_secs_f64() * 1e3,
        all,
        TENANTS,
        bytes.len() >> 20,
    );
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
