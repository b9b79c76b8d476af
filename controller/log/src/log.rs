//! The handle that everyone else holds.

use std::{path::Path, sync::Arc, thread, time::Instant};

use busyhour_base::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    applier::Applier,
    applying::Applying,
    batch::Batch,
    config::Config,
    disk::{Disk, RealDisk},
    driver::{Driver, Handed},
    error::{OpenError, ProposeError},
    gather::Crowd,
    growth::Growth,
    machine::Machine,
    node::Node,
    queue::{Entrance, Pending, queue},
    status::{Recovery, Status},
    storage::{Recovered, recover},
};

/// An open log. Cloning it gives another handle to the same log; when the last is dropped, what
/// waits is still written, and then the log is closed.
pub struct Log<M: Machine> {
    inner: Arc<Inner<M>>,
}

impl<M: Machine> Clone for Log<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<M: Machine> {
    machine: Arc<RwLock<M>>,
    entrance: Entrance<M>,
    status: Arc<Mutex<Status>>,
    recovery: Recovery,
    /// Becomes true when the thread has ended and the folder is free.
    closed: watch::Receiver<bool>,
}

impl<M: Machine> Log<M> {
    /// Opens the log in `config.folder`, setting it up if there is none, and brings `machine`,
    /// which must be as new, to where it was. Blocks until that is done.
    pub fn open(config: Config, machine: M) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), config, machine)
    }

    /// The same on another disk.
    pub fn open_on(disk: Arc<dyn Disk>, config: Config, mut machine: M) -> Result<Self, OpenError> {
        config.validate()?;
        let lock = lock(&*disk, &config.folder)?;
        let recovered = recover(disk, &config, &mut |from| machine.restore(from))?;
        let machine = Arc::new(RwLock::new(machine));
        let (entrance, exit) = queue(&config);
        let status = Arc::new(Mutex::new(Status::default()));
        let torn = recovered.torn.clone();
        let snapshot_index = recovered.snapshot.map_or(0, |at| at.index);
        let replayed = Replayed::new(&config, machine.clone(), recovered)?;
        let recovery = Recovery { snapshot_index, replayed: replayed.commands, torn };
        {
            let mut status = status.lock();
            (status.applied, status.commands) = (replayed.applied, replayed.applier.commands());
        }
        let handed = Handed {
            index: replayed.applied,
            commands: replayed.applier.commands(),
            at: replayed.applier.at(),
        };
        let applying =
            Applying::start(replayed.applier, status.clone(), config.on_fatal.clone())
                .map_err(OpenError::io("starting the thread of the machine of", &config.folder))?;
        let driver = Driver {
            node: replayed.node,
            applying,
            snapshots: replayed.snapshots,
            growth: Growth::new(config.snapshot_after_bytes, replayed.log_bytes),
            handed,
            exit,
            status: status.clone(),
            last_began: Instant::now(),
            crowd: Crowd::default(),
            batch: Batch::default(),
            in_flight: None,
            _lock: lock,
            config,
        };
        Ok(Self {
            inner: Arc::new(Inner { machine, entrance, status, recovery, closed: start(driver)? }),
        })
    }

    /// Proposes a command and waits until it is durable and applied. A caller that stops waiting
    /// does not take it back.
    pub async fn propose(&self, command: M::Command) -> Result<M::Reply, ProposeError> {
        self.submit(command)?.await
    }

    /// Proposes a command. It has its place in the log's order when this returns; the reply comes
    /// later. Never blocks.
    pub fn submit(&self, command: M::Command) -> Result<Pending<M::Reply>, ProposeError> {
        self.inner.entrance.submit(command)
    }

    /// Proposes a command as one of several, each with its place in the log's order when this returns. The log need not look
    /// at any before [`Log::hand_in`] is called, which spares it a wake-up for each. Never blocks.
    pub fn lay(&self, command: M::Command) -> Result<Pending<M::Reply>, ProposeError> {
        self.inner.entrance.lay(command)
    }

    /// Has the log look at what was laid down.
    pub fn hand_in(&self) {
        self.inner.entrance.hand_in();
    }

    /// The machine, for reading. The log stands still for as long as its lock is held.
    pub fn machine(&self) -> &Arc<RwLock<M>> {
        &self.inner.machine
    }

    /// How the log is.
    pub fn status(&self) -> Status {
        let mut status = self.inner.status.lock().clone();
        let load = self.inner.entrance.load();
        status.queued_commands = load.commands();
        status.queued_bytes = load.bytes();
        status
    }

    /// What was found when it was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Takes no more proposals, writes those that wait, and returns when the log is closed and its
    /// folder is free.
    pub async fn shutdown(&self) {
        self.inner.entrance.close();
        // An error means that the thread is gone, which is what is waited for.
        let _ = self.inner.closed.clone().wait_for(|closed| *closed).await;
    }
}

fn lock(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Send>, OpenError> {
    disk.create_folder(folder).map_err(OpenError::io("creating", folder))?;
    let path = folder.join("lock");
    disk.lock(&path)
        .map_err(OpenError::io("locking", path))?
        .ok_or_else(|| OpenError::Locked { folder: folder.to_owned() })
}

/// A machine that is where it was, and raft ready for more.
struct Replayed<M: Machine> {
    node: Node,
    applier: Applier<M>,
    snapshots: crate::storage::Snapshots,
    log_bytes: u64,
    applied: u64,
    commands: u64,
}

impl<M: Machine> Replayed<M> {
    fn new(
        config: &Config,
        machine: Arc<RwLock<M>>,
        recovered: Recovered,
    ) -> Result<Self, OpenError> {
        let (mut applied, mut commands, mut at) = (0, 0, Timestamp(0));
        if let Some(position) = recovered.snapshot {
            (applied, commands, at) = (position.index, position.commands, position.at);
        }
        let mut applier = Applier::new(machine, commands, at);
        let mut node = Node::start(config.node, recovered.memory, recovered.files, applied)?;
        for entry in node.settle()? {
            applied = entry.index;
            if !entry.data.is_empty() {
                applier.replay(entry.data)?;
            }
        }
        node.applied(applied);
        Ok(Self {
            commands: applier.commands() - commands,
            node,
            applier,
            snapshots: recovered.snapshots,
            log_bytes: recovered.log_bytes,
            applied,
        })
    }
}

fn start<M: Machine>(mut driver: Driver<M>) -> Result<watch::Receiver<bool>, OpenError> {
    driver.tell_status();
    let folder = driver.config.folder.clone();
    let (tell_closed, closed) = watch::channel(false);
    thread::Builder::new()
        .name("busyhour-log".to_owned())
        .spawn(move || {
            driver.work();
            // Nobody may be left to be told.
            let _ = tell_closed.send(true);
        })
        .map_err(OpenError::io("starting the thread of the log in", folder))?;
    Ok(closed)
}
