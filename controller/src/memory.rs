//! Huge pages for the controller's memory.
//!
//! Ten million queued calls are most of a gigabyte of tables that are read at random and, after a start, written for the first
//! time all at once: with pages of 4 KiB that is 200,000 page faults, which take longer than all the rest of a start, and as many
//! entries that the processor has to look up again and again. Linux gives huge pages to who asks for them; glibc's
//! allocator asks if a tunable says so, and reads its tunables when a program starts and never again.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

/// Where glibc reads its tunables.
const TUNABLES: &str = "GLIBC_TUNABLES";
/// That which decides about huge pages.
const HUGE_PAGES: &str = "glibc.malloc.hugetlb";

/// Starts this program anew in the same process, with the same arguments, so that what it allocates is in huge pages. To be
/// called first thing. Returns if that has been done, or if the environment says something about huge pages.
///
/// # Errors
/// The system refuses; the program may go on as it is.
pub fn prefer_huge_pages() -> io::Result<()> {
    let Some(tunables) = with_huge_pages(env::var_os(TUNABLES)) else { return Ok(()) };
    let mut own = env::args_os();
    let mut again = Command::new(env::current_exe()?);
    if let Some(name) = own.next() {
        again.arg0(name);
    }
    Err(again.args(own).env(TUNABLES, tunables).exec())
}

/// The tunables with huge pages; nothing if they are decided about.
fn with_huge_pages(tunables: Option<OsString>) -> Option<OsString> {
    let mut all = tunables.unwrap_or_default();
    if all.to_string_lossy().contains(HUGE_PAGES) {
        return None;
    }
    if !all.is_empty() {
        all.push(OsStr::new(":"));
    }
    all.push(format!("{HUGE_PAGES}=1"));
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_asked_for_once_and_only_if_nobody_decided() {
        let first = with_huge_pages(None).unwrap();
        assert_eq!(first, "glibc.malloc.hugetlb=1");
        assert_eq!(with_huge_pages(Some(first)), None);
        let other = with_huge_pages(Some("glibc.malloc.check=1".into())).unwrap();
        assert_eq!(other, "glibc.malloc.check=1:glibc.malloc.hugetlb=1");
        assert_eq!(with_huge_pages(Some("glibc.malloc.hugetlb=0".into())), None);
    }
}
