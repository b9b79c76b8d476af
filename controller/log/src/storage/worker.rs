//! A thread that does slow work with files one job after the other.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

/// A thread with its jobs and their results. Dropping this waits for the job that it is at, so that
/// nobody writes into a folder that is free for another.
///
/// The channels need no bound of their own: whoever holds this asks for the next job only when it
/// has the result of the last.
pub(crate) struct Worker<J, R> {
    /// Always there until this is dropped.
    jobs: Option<Sender<J>>,
    results: Receiver<R>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static, R: Send + 'static> Worker<J, R> {
    /// Starts the thread.
    pub(crate) fn start(
        name: &str,
        mut work: impl FnMut(J) -> R + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, todo) = channel::<J>();
        let (done, results) = channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in todo {
                if done.send(work(job)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Hands over a job.
    pub(crate) fn start_job(&self, job: J) {
        self.starter()(job);
    }

    /// Hands over a job, from whichever thread.
    pub(crate) fn starter(&self) -> impl FnOnce(J) + Send + 'static {
        let jobs = self.jobs.clone();
        move |job| {
            if let Some(jobs) = jobs {
                // A thread that is gone shows when its result is asked for.
                let _ = jobs.send(job);
            }
        }
    }

    /// The result of the last job, if it is there.
    pub(crate) fn poll(&self) -> Option<R> {
        self.results.try_recv().ok()
    }

    /// The result of the last job, when it is there; an error if the thread died.
    pub(crate) fn wait(&self) -> io::Result<R> {
        self.results.recv().map_err(|_| io::Error::other("the thread for slow file work died"))
    }
}

impl<J, R> Drop for Worker<J, R> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, its result was missed already.
            let _ = thread.join();
        }
    }
}
