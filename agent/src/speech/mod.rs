//! Speech: words to sound, by `flite` in subprocesses that were started before they are needed, through a cache
//! that survives a restart (ML-2).

mod disk;
mod pool;
mod worker;

use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::Duration};

use busyhour_agent_core::{leg::AudioError, media::SAMPLE_RATE};
use futures::{FutureExt, future::BoxFuture, future::Shared};
use parking_lot::Mutex;

use crate::{
    audio::{Clip, Lru},
    metric_definitions as metric,
};

pub use worker::Voice;

/// Longest text that is spoken at once, in bytes: about ten minutes.
pub const TEXT_MAX: usize = 8_192;

/// What the speech engine needs to know.
#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// The `flite` program.
    pub flite: PathBuf,
    /// Subprocesses that speak at once, and that wait ready for the default voice.
    pub workers: usize,
    /// Requests that may wait for a subprocess; further ones fail at once.
    pub queue_max: usize,
    /// How long one request may take once it has a subprocess.
    pub deadline: Duration,
    /// Where the cache and the subprocesses' files are.
    pub folder: PathBuf,
    /// Bytes of the cache on disk.
    pub disk_max: usize,
    /// Bytes of the cache in memory.
    pub memory_max: usize,
}

impl SpeechConfig {
    /// Defaults, but for the folder.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            flite: PathBuf::from("flite"),
            workers: 2,
            queue_max: 256,
            deadline: Duration::from_secs(20),
            folder,
            disk_max: 512 << 20,
            memory_max: 64 << 20,
        }
    }
}

/// Names the engine and the way from its sound to ours in the cache's keys; changed whenever either changes.
const ENGINE: &str = "flite 2.2";

/// Names a piece of speech: the core's hash of the text and every parameter that changes its sound, 64 hex digits.
type Key = String;

/// The key of `text` in `voice`. The language is left out: the engine has but one.
fn key_of(text: &str, voice: Voice) -> Key {
    let speech = busyhour_agent_core::speech::Speech {
        text,
        voice: voice.name(),
        language: "en",
        speed_percent: 100,
        sample_rate: SAMPLE_RATE,
        engine: ENGINE,
    };
    speech.key()
}

type Pending = Shared<BoxFuture<'static, Result<Clip, AudioError>>>;

/// Speaks. Equal requests at the same time are spoken once.
pub struct Speech {
    memory: Mutex<Lru<Key, Clip>>,
    disk: Arc<disk::Cache>,
    pool: Arc<pool::Pool>,
    pending: Mutex<HashMap<Key, Pending>>,
}

impl Speech {
    /// Opens the cache and starts the subprocesses.
    ///
    /// # Errors
    /// If the folder cannot be made or `flite` cannot be started.
    pub async fn start(config: SpeechConfig) -> io::Result<Arc<Self>> {
        let disk = disk::Cache::open(config.folder.join("cache"), config.disk_max)?;
        let pool = pool::Pool::start(&config).await?;
        Ok(Arc::new(Self {
            memory: Mutex::new(Lru::new(config.memory_max)),
            disk: Arc::new(disk),
            pool: Arc::new(pool),
            pending: Mutex::default(),
        }))
    }

    /// The sound of `text`.
    ///
    /// # Errors
    /// [`AudioError::Speech`] if the text is too long, the queue is full or the engine fails.
    pub async fn say(self: &Arc<Self>, text: &str, voice: &str) -> Result<Clip, AudioError> {
        let text = readable(text)?;
        let voice = Voice::named(voice);
        let key = key_of(&text, voice);
        if let Some(clip) = self.memory.lock().get(&key) {
            metric::speech_cache("memory");
            return Ok(clip.clone());
        }
        self.join(key, text, voice).await
    }

    /// Joins the equal request that is under way, or begins one. It goes on if the caller gives up.
    fn join(self: &Arc<Self>, key: Key, text: String, voice: Voice) -> Pending {
        let mut pending = self.pending.lock();
        if let Some(running) = pending.get(&key) {
            return running.clone();
        }
        let (this, name) = (self.clone(), key.clone());
        let task = tokio::spawn(async move {
            let result = this.produce(key.clone(), text, voice).await;
            this.pending.lock().remove(&key);
            if let Ok(clip) = &result {
                this.memory.lock().insert(key, clip.clone(), clip.weight());
            }
            result
        });
        let task = async move {
            task.await.unwrap_or_else(|_| Err(AudioError::Speech("the request was dropped".into())))
        };
        let task = task.boxed().shared();
        pending.insert(name, task.clone());
        task
    }

    async fn produce(&self, key: Key, text: String, voice: Voice) -> Result<Clip, AudioError> {
        let (disk, name) = (self.disk.clone(), key.clone());
        let stored = blocking(move || disk.load(&name)).await?;
        if let Some(clip) = stored {
            metric::speech_cache("disk");
            return Ok(clip);
        }
        metric::speech_cache("miss");
        let clip = self.pool.speak(text, voice).await?;
        let (disk, copy) = (self.disk.clone(), clip.clone());
        // A full disk costs the next call its cache, not this one its words.
        if let Err(error) = blocking(move || disk.store(&key, &copy)).await? {
            tracing::warn!(%error, "speech cache could not be written");
        }
        Ok(clip)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AudioError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| AudioError::Speech("the cache failed".into()))
}

/// Text as the engine takes it: control characters are blanks, and it ends.
fn readable(text: &str) -> Result<String, AudioError> {
    if text.len() > TEXT_MAX {
        return Err(AudioError::Speech(format!(
            "the text has {} bytes: at most {TEXT_MAX} are spoken",
            text.len()
        )));
    }
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    Ok(text.trim().chars().map(blank).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &std::path::Path) -> SpeechConfig {
        SpeechConfig::new(folder.to_owned())
    }

    /// ML-2: the same words are made once, kept over a restart, and made again if what was kept is broken.
    #[tokio::test(flavor = "multi_thread")]
    async fn speech_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let speech = Speech::start(config(folder.path())).await.unwrap();
        let text = "Hello, this is a test of the announcement.";
        let both = tokio::join!(speech.say(text, "alice"), speech.say(text, "slt"));
        let (first, second) = (both.0.unwrap(), both.1.unwrap());
        let seconds = first.span().as_secs_f64();
        assert!((1.0..6.0).contains(&seconds), "{seconds} s");
        let loud = first.samples().iter().map(|s| i32::from(*s).abs()).max().unwrap();
        assert!(loud > 3_000, "peak {loud}");
        assert!(std::ptr::eq(first.samples(), second.samples()), "spoken twice");
        drop(speech);

        let flite_gone = SpeechConfig { flite: "/bin/false".into(), ..config(folder.path()) };
        let again = Speech::start(flite_gone.clone()).await.unwrap();
        assert_eq!(again.say(text, "").await.unwrap().samples(), first.samples());
        assert!(again.say("other words", "").await.is_err());
        drop(again);

        let file = folder.path().join("cache").join(key_of(text, Voice::Slt));
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let broken = Speech::start(flite_gone).await.unwrap();
        assert!(broken.say(text, "").await.is_err(), "a flipped bit was played");
        let remade = Speech::start(config(folder.path())).await.unwrap();
        assert_eq!(remade.say(text, "").await.unwrap().samples(), first.samples());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stuck_engine_is_killed_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let stuck = folder.path().join("stuck");
        // Written by another process: a child that is being started here could still hold it open, and what is open for
        // writing cannot be run (execve(2), ETXTBSY).
        let script = r#"printf '#!/bin/sh\nexec sleep 1000\n' >"$0" && chmod 755 "$0""#;
        let written = std::process::Command::new("sh").args(["-c", script]).arg(&stuck).status();
        assert!(written.unwrap().success());
        let config = SpeechConfig {
            flite: stuck,
            workers: 1,
            queue_max: 1,
            deadline: Duration::from_millis(200),
            ..config(folder.path())
        };
        let speech = Speech::start(config).await.unwrap();
        let bound = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let (one, two, three) =
                tokio::join!(speech.say("one", ""), speech.say("two", ""), speech.say("three", ""));
            let errors = [one, two, three].map(|r| r.unwrap_err().to_string());
            let timed_out = errors.iter().filter(|e| e.contains("time")).count();
            let refused = errors.iter().filter(|e| e.contains("wait")).count();
            assert_eq!(timed_out + refused, 3, "{errors:?}");
            if refused == 1 {
                break;
            }
            // Where the machine stands still for as long as the deadline, one asks when another is over.
            assert!(std::time::Instant::now() < bound, "{errors:?}");
        }
    }

    #[test]
    fn only_readable_text_of_bounded_length_reaches_the_engine() {
        assert_eq!(readable(" a\0b\nc ").unwrap(), "a b c");
        assert!(readable(&"x".repeat(TEXT_MAX + 1)).is_err());
        assert_ne!(key_of("a", Voice::Slt), key_of("a", Voice::Kal));
    }
}
