//! What is wrong, part by part, for `/readyz` and for those who look.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_api::Readiness;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The parts' own words on what is wrong with them. Clones share it.
#[derive(Clone)]
pub(crate) struct Health {
    ill: Arc<Mutex<BTreeMap<&'static str, String>>>,
    shown: watch::Sender<Readiness>,
}

impl Health {
    /// Nothing is wrong.
    pub(crate) fn new() -> Self {
        Self { ill: Arc::default(), shown: watch::Sender::new(Readiness::Ready) }
    }

    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.shown.subscribe()
    }

    /// A part says what is wrong with it. Answers whether that is news.
    pub(crate) fn is_ill(&self, part: &'static str, problem: &str) -> bool {
        let mut ill = self.ill.lock();
        let news = ill.get(part).is_none_or(|known| known != problem);
        if news {
            ill.insert(part, problem.to_owned());
            self.show(&ill);
        }
        news
    }

    /// A part is well. Answers whether it was not before.
    pub(crate) fn is_well(&self, part: &'static str) -> bool {
        let mut ill = self.ill.lock();
        let news = ill.remove(part).is_some();
        if news {
            self.show(&ill);
        }
        news
    }

    fn show(&self, ill: &BTreeMap<&'static str, String>) {
        let lines = ill.iter().map(|(part, problem)| format!("{part}: {problem}"));
        let lines: Vec<_> = lines.collect();
        self.shown.send_replace(if lines.is_empty() {
            Readiness::Ready
        } else {
            Readiness::Impaired(lines)
        });
    }
}
