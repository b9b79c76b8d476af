//! Processes that wait ready, and the bounded queue before them.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use busyhour_agent_core::leg::AudioError;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    SpeechConfig,
    worker::{Voice, Worker, WorkerError},
};
use crate::{
    audio::{Clip, DecodeError, decode_wav},
    metric_definitions as metric,
};

/// Starts, hands out and replaces processes.
pub struct Pool {
    flite: PathBuf,
    folder: PathBuf,
    deadline: Duration,
    ready_max: usize,
    queue_max: usize,
    waiting: AtomicUsize,
    running: Semaphore,
    ready: Mutex<HashMap<Voice, VecDeque<Worker>>>,
    files: AtomicU64,
}

impl Pool {
    /// Starts the processes of the default voice. Those of other voices are started at their first use.
    pub async fn start(config: &SpeechConfig) -> io::Result<Self> {
        let folder = config.folder.join("work");
        // Files of a process that was killed.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let pool = Self {
            flite: config.flite.clone(),
            folder,
            deadline: config.deadline,
            ready_max: config.workers.max(1),
            queue_max: config.queue_max,
            waiting: AtomicUsize::new(0),
            running: Semaphore::new(config.workers.max(1)),
            ready: Mutex::default(),
            files: AtomicU64::new(0),
        };
        for _ in 0..pool.ready_max {
            let worker = pool.new_worker(Voice::Slt).map_err(|error| {
                let program = pool.flite.display();
                let problem = format!("{program} (Debian package flite): {error}");
                io::Error::new(error.kind(), problem)
            })?;
            pool.ready.lock().entry(Voice::Slt).or_default().push_back(worker);
        }
        Ok(pool)
    }

    /// Speaks `text` as soon as its turn comes.
    pub async fn speak(&self, text: String, voice: Voice) -> Result<Clip, AudioError> {
        let _permit = self.wait().await?;
        let begun = std::time::Instant::now();
        let worker = self.take(voice).map_err(|e| speech(&WorkerError::Io(e)))?;
        let file = worker.speak(&text, self.deadline).await;
        self.refill(voice);
        metric::speech_made(begun.elapsed(), file.is_ok());
        let file = file.map_err(|e| speech(&e))?;
        let decoded = tokio::task::spawn_blocking(move || decode_wav(&file)).await;
        let clip = decoded
            .map_err(|_| AudioError::Speech("the sound could not be read".into()))?
            .map_err(|e: DecodeError| speech(&e))?;
        Ok(clip)
    }

    /// Waits for one of the permits, if the queue has room.
    async fn wait(&self) -> Result<tokio::sync::SemaphorePermit<'_>, AudioError> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.queue_max).ok_or_else(|| {
            AudioError::Speech(format!("{} requests wait already", self.queue_max))
        })?;
        let permit = self.running.acquire().await;
        permit.map_err(|_| AudioError::Speech("the engine is shut down".into()))
    }

    /// A process that waits ready, or a new one.
    fn take(&self, voice: Voice) -> io::Result<Worker> {
        loop {
            let next = self.ready.lock().get_mut(&voice).and_then(VecDeque::pop_front);
            let Some(mut worker) = next else {
                return self.new_worker(voice);
            };
            if worker.is_waiting() {
                return Ok(worker);
            }
        }
    }

    /// Replaces a process that was used. Voices in use keep one ready, the default keeps all.
    fn refill(&self, voice: Voice) {
        let most = if voice == Voice::Slt { self.ready_max } else { 1 };
        if self.ready.lock().get(&voice).map_or(0, VecDeque::len) >= most {
            return;
        }
        match self.new_worker(voice) {
            Ok(worker) => self.ready.lock().entry(voice).or_default().push_back(worker),
            Err(error) => tracing::warn!(%error, "no speech process could be started"),
        }
    }

    fn new_worker(&self, voice: Voice) -> io::Result<Worker> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        Worker::start(&self.flite, voice, self.folder.join(format!("{number}.wav")))
    }
}

/// A place in the queue, given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let taken = waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        taken.ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn speech(error: &dyn std::error::Error) -> AudioError {
    AudioError::Speech(error.to_string())
}
