//! Picks up changes of the folder while the controller runs.
//!
//! The folder is looked at twice a second by its files' names, sizes and times: this works on every file system,
//! also where change notices do not (network mounts, mounted configuration that is swapped by a
//! link). It is read when two looks agree, so that a file being written is let finish, and in any case every
//! [`REREAD`], for the sake of secrets in files elsewhere.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_api::Directory;
use busyhour_controller_core::{command::Command, effect::Reply};
use busyhour_crds::{Declared, LoadErrors, load_folder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{DialBook, dial_book, directory};
use crate::{health::Health, link::Links, metric_definitions as names, proposer::Proposer};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// A folder that looks unchanged is read anew after this time.
const REREAD: Duration = Duration::from_secs(30);

/// The name under which [`Health`] keeps what is wrong with the documents.
const PART: &str = "declaration";

/// What others see of the declaration, always of one good set of documents.
pub(crate) struct Published {
    /// For the API.
    pub directory: watch::Sender<Arc<Directory>>,
    /// For orders.
    pub dial_book: watch::Sender<Arc<DialBook>>,
}

/// The declared documents in force, and the folder that they come from.
pub(crate) struct Declarations {
    folder: PathBuf,
    in_force: Declared,
}

impl Declarations {
    /// The first set. There is no earlier one that could stay in force, so that it must be right.
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadErrors> {
        Ok(Self { folder: folder.to_owned(), in_force: load_folder(folder)? })
    }

    /// What is in force as the API and orders see it.
    pub(crate) fn published(&self) -> Published {
        Published {
            directory: watch::Sender::new(Arc::new(directory(&self.in_force))),
            dial_book: watch::Sender::new(Arc::new(dial_book(&self.in_force))),
        }
    }

    /// Puts the first set into force where the state machine has another.
    pub(crate) async fn declare(&self, proposer: &Proposer) -> Result<(), String> {
        let declaration = self.in_force.declaration();
        if proposer.read(|state| *state.declaration() == declaration) {
            return Ok(());
        }
        propose(proposer, &self.in_force).await
    }

    /// Follows the folder until the controller stops.
    pub(crate) async fn follow(
        mut self,
        proposer: Proposer,
        published: Published,
        links: Links,
        health: Health,
        shutdown: CancellationToken,
    ) {
        let mut read = (look(&self.folder), Instant::now());
        let mut last = read.0;
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = look(&self.folder);
            let calm = std::mem::replace(&mut last, now) == now;
            if !calm || (now == read.0 && read.1.elapsed() < REREAD) {
                continue;
            }
            read = (now, Instant::now());
            let folder = self.folder.clone();
            let loaded = tokio::task::spawn_blocking(move || load_folder(&folder)).await;
            match loaded {
                Ok(Ok(declared)) => {
                    match self.change(declared, &proposer, &published, &links).await {
                        Ok(()) => fine(&health),
                        // The state machine was not asked or refused: ask again at the next look.
                        Err(problem) => {
                            wrong(&health, 1, &problem);
                            read.1 = Instant::now() - REREAD;
                        }
                    }
                }
                Ok(Err(errors)) => wrong(&health, errors.iter().count(), &errors.to_string()),
                Err(panic) => wrong(&health, 1, &panic.to_string()),
            }
        }
    }

    async fn change(
        &mut self,
        declared: Declared,
        proposer: &Proposer,
        published: &Published,
        links: &Links,
    ) -> Result<(), String> {
        if declared == self.in_force {
            return Ok(());
        }
        let (old, new) = (published.dial_book.borrow().clone(), dial_book(&declared));
        // A call may be dialled as soon as the state machine has the declaration, and one dialled just before
        // may still be on its way out: in between, orders find what either set says.
        published.dial_book.send_replace(Arc::new(union(&old, &new)));
        if let Err(problem) = propose(proposer, &declared).await {
            published.dial_book.send_replace(old);
            return Err(problem);
        }
        if old.allowed_networks != new.allowed_networks {
            // Agents hear of networks when they are welcomed; their calls live on meanwhile.
            published.dial_book.send_replace(Arc::new(new));
            links.cut_all("the allowed networks have changed");
        } else {
            published.dial_book.send_replace(Arc::new(new));
        }
        published.directory.send_replace(Arc::new(directory(&declared)));
        self.in_force = declared;
        metrics::counter!(names::DECLARATIONS).increment(1);
        tracing::info!(
            tenants = self.in_force.tenants.len(),
            carriers = self.in_force.carriers.len(),
            "a changed declaration is in force"
        );
        Ok(())
    }
}

async fn propose(proposer: &Proposer, declared: &Declared) -> Result<(), String> {
    let command = Command::Declare(Box::new(declared.declaration()));
    match proposer.propose(command).await {
        Ok(applied) => match applied.reply {
            Reply::Refused(reason) => {
                Err(format!("the declaration is refused: {}", reason.message()))
            }
            _ => Ok(()),
        },
        Err(error) => Err(format!("the declaration waits: {error}")),
    }
}

/// The new set, and of the old one what the new one lacks.
fn union(old: &DialBook, new: &DialBook) -> DialBook {
    let mut both = old.clone();
    both.tokens.extend(new.tokens.clone());
    both.trunks.extend(new.trunks.clone());
    both
}

fn fine(health: &Health) {
    metrics::gauge!(names::DECLARATION_ERRORS).set(0.0);
    if health.is_well(PART) {
        tracing::info!("the declared documents are right again");
    }
}

fn wrong(health: &Health, count: usize, problem: &str) {
    metrics::gauge!(names::DECLARATION_ERRORS).set(count as f64);
    if health.is_ill(PART, problem) {
        tracing::error!(
            "the declared documents are refused, the last good ones stay in force:\n{problem}"
        );
    }
}

/// A number that changes when a file of the folder does. What cannot be read counts as empty: reading the
/// folder then says what is wrong.
fn look(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut seen: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            // Through links, for folders whose content is swapped by one.
            let meta = fs::metadata(entry.path()).ok()?;
            Some((entry.file_name(), meta.len(), meta.modified().ok()))
        })
        .collect();
    seen.sort();
    seen.hash(&mut hasher);
    hasher.finish()
}
