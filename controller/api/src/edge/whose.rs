//! Whose request a thread works on, so that what is logged meanwhile names the account.
//!
//! A span would carry it, and costs a sixth of all that a request takes even where nobody reads it. Requests take turns on a
//! thread, so that each brings its account along whenever it is polled: two moves of a few bytes.

use std::cell::Cell;

use busyhour_base::AccountSid;
use tracing::field::{DisplayValue, display};

thread_local! {
    static ACCOUNT: Cell<Option<AccountSid>> = const { Cell::new(None) };
}

/// The request that this thread works on is this account's.
pub(super) fn is(account: AccountSid) {
    ACCOUNT.set(Some(account));
}

/// The account as a field of what is logged; left out while it is not known.
pub(crate) fn account() -> Option<DisplayValue<AccountSid>> {
    ACCOUNT.get().map(display)
}

/// Works on a request whose account, if it is known, is `own`; it is noted there once it is. The step must not panic.
pub(super) fn during<T>(own: &mut Option<AccountSid>, step: impl FnOnce() -> T) -> T {
    let outer = ACCOUNT.replace(*own);
    let done = step();
    *own = ACCOUNT.replace(outer);
    done
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use axum::{
        Router,
        body::Body,
        extract::{Path, Request},
        routing::get,
    };
    use tokio::task::yield_now;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{edge::Observe, error::ApiError};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Proves whose it is, and fails after others had their turns.
    async fn fails(Path(account): Path<u128>) -> Result<(), ApiError> {
        if account > 0 {
            is(AccountSid(account));
        }
        for _ in 0..3 {
            yield_now().await;
        }
        assert!(account < 3, "nobody thought of {account}");
        Err(ApiError::internal(format!("{account} failed")))
    }

    #[test]
    fn lines_of_requests_that_take_turns_name_their_accounts_without_a_span() {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || written.clone())
            .finish();
        let app = Router::new().route("/fails/{account}", get(fails)).layer(Observe::new());
        let ask = |account| {
            let uri = format!("/fails/{account}");
            app.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answers = tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(futures::future::join_all([ask(1), ask(2), ask(0), ask(3)]))
        });
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 500));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        for (what, account) in [("1 failed", 1), ("2 failed", 2), ("nobody thought of 3", 3)] {
            let line = log.lines().find(|line| line.contains(what)).expect(what);
            let named = format!("account={}", AccountSid(account));
            assert!(line.contains(&named), "{line}");
            let failed = |line: &&str| line.contains("a request failed") && line.contains(&named);
            assert_eq!(log.lines().filter(failed).count(), 1, "{log}");
        }
        let nobodys = log.lines().find(|line| line.contains("0 failed")).expect("a line");
        assert!(!nobodys.contains("account="), "{nobodys}");
    }
}
