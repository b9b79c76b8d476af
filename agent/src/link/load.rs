//! What the agent uses of its machine.

use std::time::Instant;

use busyhour_protocol::v1;

/// Clock ticks per second of `/proc`, fixed in Linux's interface to programs.
const TICKS_PER_S: u64 = 100;

/// Measures this process between two looks.
pub struct Meter {
    cores: u64,
    ticks: u64,
    at: Instant,
    cpu_permille: u32,
}

impl Meter {
    /// A meter that begins now.
    pub fn start() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from) as u64,
            ticks: cpu_ticks().unwrap_or(0),
            at: Instant::now(),
            cpu_permille: 0,
        }
    }

    /// Measures anew the share of all cores that was used since the last time.
    pub fn measure(&mut self) {
        let (Some(ticks), now) = (cpu_ticks(), Instant::now()) else {
            return;
        };
        let elapsed_ms = now.duration_since(self.at).as_millis().max(1) as u64;
        let used_ms = ticks.saturating_sub(self.ticks) * 1_000 / TICKS_PER_S;
        let permille = used_ms * 1_000 / (elapsed_ms * self.cores);
        self.cpu_permille = u32::try_from(permille).unwrap_or(1_000).min(1_000);
        (self.ticks, self.at) = (ticks, now);
    }

    /// The message for the controller.
    pub fn load(&self, in_use: u32, draining: bool) -> v1::Load {
        v1::Load {
            in_use,
            cpu_permille: self.cpu_permille,
            rss_bytes: resident_bytes().unwrap_or(0),
            draining,
        }
    }
}

/// User and system time of this process (proc(5), `/proc/pid/stat`, fields 14 and 15).
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold blanks and brackets; what follows its last bracket does not.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Resident memory (proc(5), `/proc/pid/status`, `VmRSS`, in KiB).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_shows_in_the_load() {
        let mut meter = Meter::start();
        // However little of its cores the machine has to spare.
        let bound = Instant::now() + Duration::from_secs(60);
        let load = loop {
            let until = Instant::now() + Duration::from_millis(300);
            while Instant::now() < until {
                std::hint::black_box(0);
            }
            meter.measure();
            let load = meter.load(3, false);
            if load.cpu_permille > 0 || Instant::now() > bound {
                break load;
            }
        };
        assert!(load.cpu_permille > 0 && load.cpu_permille <= 1_000, "{load:?}");
        assert!(load.rss_bytes > 1 << 20, "{load:?}");
    }
}
