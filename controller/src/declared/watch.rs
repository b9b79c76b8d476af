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
use busyhour_crds::{Declared, LoadErrors, SourceFile, load, read_folder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{DialBook, dial_book, directory, last_good};
use crate::{
    health::Health,
    link::{self, Links},
    metric_definitions as names,
    proposer::Proposer,
};

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
    /// Where the last good set is kept.
    data: PathBuf,
    in_force: Declared,
    /// What the start found in the folder: the documents in force, or what is wrong with them. Gone once it is dealt with.
    found: Option<Result<Vec<SourceFile>, LoadErrors>>,
    /// How the folder looked before it was last read: a change made while it is read shows at the next look.
    seen: (u64, Instant),
}

impl Declarations {
    /// The first set: the folder's, or the last one that was right.
    ///
    /// # Errors
    /// What is wrong with the folder, where there is no earlier set that could stay in force.
    pub(crate) fn open(folder: PathBuf, data: PathBuf) -> Result<Self, LoadErrors> {
        let seen = (look(&folder), Instant::now());
        let (found, in_force) = match read(&folder) {
            Ok((files, declared)) => (Ok(files), declared),
            Err(errors) => match last_good::recall(&data) {
                Some(declared) => (Err(errors), declared),
                None => return Err(errors),
            },
        };
        Ok(Self { folder, data, in_force, found: Some(found), seen })
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
        match self.found.take() {
            Some(Ok(files)) => self.keep(files).await,
            Some(Err(errors)) => wrong(&health, errors.iter().count(), &errors.to_string()),
            None => {}
        }
        let mut last = self.seen.0;
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = look(&self.folder);
            let calm = std::mem::replace(&mut last, now) == now;
            if !calm || (now == self.seen.0 && self.seen.1.elapsed() < REREAD) {
                continue;
            }
            self.seen = (now, Instant::now());
            let folder = self.folder.clone();
            let loaded = tokio::task::spawn_blocking(move || read(&folder)).await;
            match loaded {
                Ok(Ok((files, declared))) => {
                    match self.change(declared, &proposer, &published, &links).await {
                        Ok(is_new) => {
                            fine(&health);
                            if is_new {
                                self.keep(files).await;
                            }
                        }
                        // The state machine was not asked or refused: ask again at the next look.
                        Err(problem) => {
                            wrong(&health, 1, &problem);
                            self.seen.1 = Instant::now() - REREAD;
                        }
                    }
                }
                Ok(Err(errors)) => wrong(&health, errors.iter().count(), &errors.to_string()),
                Err(panic) => wrong(&health, 1, &panic.to_string()),
            }
        }
    }

    async fn keep(&self, files: Vec<SourceFile>) {
        let data = self.data.clone();
        if let Err(panic) = tokio::task::spawn_blocking(move || keep(&data, files)).await {
            tracing::error!(%panic, "keeping the last good documents did not end well");
        }
    }

    /// Puts a set into force. Answers whether it is another than before.
    async fn change(
        &mut self,
        declared: Declared,
        proposer: &Proposer,
        published: &Published,
        links: &Links,
    ) -> Result<bool, String> {
        if declared == self.in_force {
            return Ok(false);
        }
        let (old, new) = (published.dial_book.borrow().clone(), dial_book(&declared));
        // A call may be dialled as soon as the state machine has the declaration, and one dialled just before
        // may still be on its way out: in between, orders find what either set says.
        published.dial_book.send_replace(Arc::new(union(&old, &new)));
        if let Err(problem) = propose(proposer, &declared).await {
            published.dial_book.send_replace(old);
            return Err(problem);
        }
        if old.callers != new.callers {
            links.send_all(&link::trunks(&new));
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
        Ok(true)
    }
}

fn read(folder: &Path) -> Result<(Vec<SourceFile>, Declared), LoadErrors> {
    let files = read_folder(folder)?;
    let declared = load(&files)?;
    Ok((files, declared))
}

/// Without the copy all goes on, but a start among broken documents would fail.
fn keep(data: &Path, files: Vec<SourceFile>) {
    if let Err(error) = last_good::keep(data, files) {
        tracing::warn!(%error, "the last good documents could not be kept");
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
    both.numbers.clone_from(&new.numbers);
    both.texting.clone_from(&new.texting);
    both.message_carriers.extend(new.message_carriers.clone());
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
