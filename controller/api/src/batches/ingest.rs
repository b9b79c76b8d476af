//! From a stream of lines to accepted calls or messages: one thread reads and checks, chunks of checked lines go to the log.
//!
//! Whatever the size of the file, at most [`WAITING`] + [`IN_FLIGHT`] + 1 chunks are in memory; a log that is
//! slower than the client makes the client wait.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use busyhour_base::{AccountSid, Reason, Timestamp};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::{
        self, BatchId, BatchPlan, DedupeBy, Fault, Kind, LineRequest, NewCall, NewText, Part,
        Requests, UploadFormat,
    },
};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    line::{Context, LineError, Made, Rest, Row, request},
    read::{Format, Lines, Next, Place},
};
use crate::{
    App,
    directory::Directory,
    error::{ApiError, Code},
    messages,
    platform::ProposeError,
};

/// Lines of one log entry. More would hold up others' entries, fewer would spend more on each.
pub(super) const CHUNK_LINES: usize = 500;
/// Bytes of parameters of one log entry, roughly.
pub(super) const CHUNK_BYTES: usize = 512 * 1_024;
/// Chunks read and not yet taken.
const WAITING: usize = 2;
/// Chunks on their way through the log.
const IN_FLIGHT: usize = 4;
/// Characters of a line's error that the batch keeps.
const FAULT_CHARS_MAX: usize = 300;
/// How long a full queue in front of the log is waited for, and in what steps.
const OVERLOAD_WAIT: Duration = Duration::from_secs(30);
const OVERLOAD_STEP: Duration = Duration::from_millis(20);

/// An upload.
pub(super) struct Upload {
    pub(super) account: AccountSid,
    pub(super) batch: BatchId,
    pub(super) directory: Arc<Directory>,
    pub(super) plan: Arc<BatchPlan>,
    pub(super) now: Timestamp,
    pub(super) format: Format,
    /// Lines before this one were sent before and are passed over.
    pub(super) from_line: u64,
    /// How it goes on from earlier parts, if it may be sent in parts.
    pub(super) resume: Option<Resume>,
    /// Held as long as the thread runs.
    pub(super) _thread: OwnedSemaphorePermit,
}

/// How an upload that may be sent in parts goes on.
pub(super) struct Resume {
    /// What was taken before.
    pub(super) place: Place,
    /// How it is written, if something was taken before.
    pub(super) format: Option<UploadFormat>,
    /// Bytes of the stream that were taken before, and are passed over.
    pub(super) skip: u64,
    /// The end of the stream is the end of the file.
    pub(super) last: bool,
}

/// Checked lines, in order.
#[derive(Default)]
struct Chunk {
    requests: Requests,
    /// What each is known by, if the batch goes by a variable.
    keys: Vec<Arc<str>>,
    /// What most of them share, by its number.
    shared: Option<u32>,
    /// Lines that cannot become calls.
    errors: Vec<LineError>,
    bytes: usize,
    /// What part of the upload it is, if that may be sent in parts.
    part: Option<Part>,
    /// Why nothing more follows.
    broken: Option<ApiError>,
}

/// What became of a chunk.
#[derive(Default)]
pub(super) struct Taken {
    /// What the lines are.
    pub(super) kind: Kind,
    /// Calls or messages that were queued.
    pub(super) accepted: u64,
    /// Lines whose `custom_id` was accepted before.
    pub(super) duplicates: u64,
    /// Lines that were not accepted, in order.
    pub(super) errors: Vec<LineError>,
    /// The last line of the chunk.
    pub(super) last_line: u64,
    /// Why nothing more follows.
    pub(super) broken: Option<ApiError>,
}

impl Upload {
    /// Reads `stream` to its end on a thread for blocking work, and gives what becomes of it chunk by chunk. A stream whose
    /// first line cannot be used gives one chunk that says so.
    pub(super) fn run(
        self,
        app: App,
        stream: impl Read + Send + 'static,
    ) -> impl futures::Stream<Item = Taken> + Send {
        let (of, kind) = ((self.account, self.batch), self.plan.kind);
        let (chunks, waiting) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || self.read(stream, &chunks));
        ReceiverStream::new(waiting)
            .map(move |chunk| submit(Arc::clone(&app), of, kind, chunk))
            .buffered(IN_FLIGHT)
            .scan(false, |over, taken| {
                let go_on = !*over;
                *over = taken.broken.is_some();
                std::future::ready(go_on.then_some(taken))
            })
    }

    fn read(self, stream: impl Read, chunks: &mpsc::Sender<Chunk>) {
        let mut lines = match self.open(stream) {
            Ok(lines) => lines,
            Err(error) => {
                let broken = Some(error);
                // The receiver is gone if the client is.
                let _ = chunks.blocking_send(Chunk { broken, ..Chunk::default() });
                return;
            }
        };
        let mut from = self.resume.as_ref().map(|resume| resume.place);
        loop {
            let (mut chunk, more) = self.chunk(&mut lines);
            if let (Some(resume), Some(from)) = (&self.resume, &mut from) {
                chunk.part = resume.part(from, &lines, more || chunk.broken.is_some());
            }
            if chunks.blocking_send(chunk).is_err() || !more {
                return;
            }
        }
    }

    fn open<R: Read>(&self, mut stream: R) -> Result<Lines<R>, ApiError> {
        let Some(resume) = &self.resume else {
            return Lines::open(self.format, stream, self.plan.kind, true);
        };
        let passed = io::copy(&mut stream.by_ref().take(resume.skip), &mut io::sink());
        passed.map_err(|error| {
            let message = format!("The upload broke off before anything new: {error}");
            ApiError::new(Code::InvalidParameter, message)
        })?;
        let kind = self.plan.kind;
        match &resume.format {
            Some(format) => Lines::go_on(format, stream, kind, resume.place, resume.last),
            None => Lines::open(self.format, stream, kind, resume.last),
        }
    }

    /// The next chunk, and whether more may follow.
    fn chunk<R: Read>(&self, lines: &mut Lines<R>) -> (Chunk, bool) {
        let plan = &*self.plan;
        let context = Context::new(self.account, &self.directory, plan, self.now);
        let mut chunk = Chunk::default();
        while chunk.requests.len() + chunk.errors.len() < CHUNK_LINES && chunk.bytes < CHUNK_BYTES {
            match lines.next() {
                Next::End => return (chunk, false),
                Next::Broken(error) => {
                    chunk.broken = Some(error);
                    return (chunk, false);
                }
                Next::Bad(error) if error.line < self.from_line => {}
                Next::Bad(error) => chunk.errors.push(error),
                Next::Row(row) if row.line < self.from_line => {}
                Next::Row(row) => match self.request(&row, &context) {
                    Ok((made, key)) => {
                        chunk.keys.extend(key);
                        chunk.add(row.line, made);
                    }
                    Err(error) => chunk.errors.push(error),
                },
            }
        }
        (chunk, true)
    }

    /// The request that a line becomes, and its value of the variable that the batch goes by, if it does.
    fn request<'r>(
        &self,
        row: &'r Row<'_>,
        context: &'r Context<'_>,
    ) -> Result<(Made<'r>, Option<Arc<str>>), LineError> {
        let made = request(row, context)?;
        let DedupeBy::Variable(name) = &self.plan.dedupe_by else { return Ok((made, None)) };
        match row.variables.iter().find(|(variable, _)| variable == name) {
            Some((_, value)) => Ok((made, Some(Arc::from(&**value)))),
            None => {
                let message =
                    format!("var.{name} is missing: the batch is to take each value of it once");
                let error = ApiError::new(Code::InvalidParameter, message);
                Err(LineError::new(row.line, Some(Arc::from(&*made.custom_id)), &error))
            }
        }
    }
}

impl Chunk {
    fn add(&mut self, line: u64, made: Made<'_>) {
        let Made { to, custom_id, rest } = made;
        self.bytes += to.len() + custom_id.len();
        let rest = match (rest, self.shared) {
            (Rest::Own(own), _) => self.share(own),
            (Rest::Shared(_), Some(shared)) => shared,
            (Rest::Shared(shared), None) => {
                let shared = self.share(shared.clone());
                *self.shared.insert(shared)
            }
        };
        self.requests.push(line, rest, &to, Some(&custom_id));
    }

    fn share(&mut self, rest: spec::Rest) -> u32 {
        self.bytes += match &rest {
            spec::Rest::Call(call) => size(call),
            spec::Rest::Message(text) => size_of_text(text),
        };
        self.requests.share(rest)
    }

    /// The last line that it has something of.
    fn last_line(&self) -> u64 {
        let taken = self.requests.iter().last().map(|(line, _)| line);
        let bad = self.errors.last().map(|error| error.line);
        taken.max(bad).unwrap_or(0)
    }
}

impl Resume {
    /// The part up to where the lines are now; nothing if they did not move.
    fn part<R: Read>(&self, from: &mut Place, lines: &Lines<R>, more: bool) -> Option<Part> {
        let to = lines.place();
        let complete = self.last && !more;
        let part = Part {
            from: from.byte,
            to: to.byte,
            next_line: to.line,
            format: (from.byte == 0).then(|| lines.format()),
            complete,
        };
        let moved = to.byte > from.byte || complete;
        *from = to;
        moved.then_some(part)
    }
}

/// What a call weighs in the log but for number and name, roughly.
pub(super) fn size(call: &NewCall) -> usize {
    use busyhour_base::Instructions;
    let document = match &call.spec.instructions {
        Instructions::Url(hook) => hook.url.len(),
        Instructions::Document(text) => text.len(),
    };
    let hooks = [&call.spec.fallback, &call.spec.status_callback];
    let hooks: usize = hooks.into_iter().flatten().map(|hook| hook.url.len()).sum();
    128 + document + hooks
}

/// The same of a message.
pub(super) fn size_of_text(text: &NewText) -> usize {
    128 + text.body.text().len()
        + text.spec.status_callback.as_ref().map_or(0, |hook| hook.url.len())
}

async fn submit(
    app: App,
    (account, batch): (AccountSid, BatchId),
    kind: Kind,
    chunk: Chunk,
) -> Taken {
    let last_line = chunk.last_line();
    let mut taken = Taken { kind, last_line, broken: chunk.broken, ..Taken::default() };
    if chunk.requests.is_empty() && chunk.errors.is_empty() && chunk.part.is_none() {
        return taken;
    }
    let lines = Arc::new(busyhour_controller_core::spec::Lines {
        account,
        batch,
        part: chunk.part,
        requests: chunk.requests,
        keys: chunk.keys,
        faults: chunk.errors.iter().map(fault).collect(),
    });
    match propose(&app, &lines).await {
        Ok(verdicts) => {
            taken.errors = chunk.errors;
            taken.count(&lines.requests, &verdicts);
        }
        Err(error) => {
            taken.last_line = 0;
            taken.broken = Some(error);
        }
    }
    taken
}

/// A line's error as the batch keeps it.
fn fault(error: &LineError) -> Fault {
    Fault {
        line: error.line,
        custom_id: error.custom_id.clone(),
        code: error.code,
        message: error.message.chars().take(FAULT_CHARS_MAX).collect::<String>().into(),
    }
}

/// A refusal by the machine, in the codes of the kind.
pub(super) fn refused(kind: Kind, reason: Reason) -> ApiError {
    match kind {
        Kind::Call => ApiError::refused(reason),
        Kind::Message => messages::refused(reason),
    }
}

type Verdict = Result<(), Reason>;

async fn propose(
    app: &App,
    lines: &Arc<busyhour_controller_core::spec::Lines>,
) -> Result<Vec<Verdict>, ApiError> {
    let reply = insist(app, || BatchCommand::Take(Arc::clone(lines))).await?;
    match reply {
        Reply::Refused(Reason::QueueBytes) => Err(no_bytes(app, lines)),
        reply => verdicts(reply, lines.requests.len()),
    }
}

/// Proposes a chunk. While the queue in front of the log is full it waits, and with it the client.
pub(super) async fn insist(
    app: &App,
    command: impl Fn() -> BatchCommand,
) -> Result<Reply, ApiError> {
    let tries = OVERLOAD_WAIT.as_millis() / OVERLOAD_STEP.as_millis();
    for _ in 0..tries {
        match app.platform.proposer.propose(Command::Batch(command())).await {
            Err(ProposeError::Overloaded) => tokio::time::sleep(OVERLOAD_STEP).await,
            Err(error) => return Err(error.into()),
            Ok(applied) => return Ok(applied.reply),
        }
    }
    Err(ProposeError::Overloaded.into())
}

/// The refusal of lines whose account's calls take as many bytes as they may.
fn no_bytes(app: &App, lines: &busyhour_controller_core::spec::Lines) -> ApiError {
    let refused = ApiError::refused(Reason::QueueBytes);
    let first = lines.requests.iter().next().map(|(line, _)| line);
    let Some((line, now)) = first.zip(app.platform.views.tenant(lines.account)) else {
        return refused;
    };
    let (bytes, allowed) = (now.bytes, now.bytes_max);
    let message = format!(
        "Line {line} and what follows it are not taken: the account's calls have used up their {allowed} bytes for parameters (queue.maxBytes of the tenant; they take {bytes} now). Give a document by Url instead of Twiml, or once in the batch's defaults; or split the batch, and go on from that line when calls have ended"
    );
    ApiError::new(refused.code, message)
}

/// A verdict per line, or why the batch takes none.
fn verdicts(reply: Reply, lines: usize) -> Result<Vec<Verdict>, ApiError> {
    let conflict = |message: &'static str| Err(ApiError::new(Code::Conflict, message));
    match reply {
        Reply::Submitted(verdicts) if verdicts.len() == lines => {
            Ok(verdicts.into_iter().map(|verdict| verdict.map(drop)).collect())
        }
        Reply::Messages(verdicts) if verdicts.len() == lines => {
            Ok(verdicts.into_iter().map(|verdict| verdict.map(drop)).collect())
        }
        Reply::Refused(Reason::WrongState) => {
            conflict("The batch is no draft any more and takes no more lines")
        }
        Reply::Refused(Reason::UploadOffset) => conflict(
            "The upload was carried on elsewhere meanwhile; ask for its offset with HEAD and go on from there",
        ),
        Reply::Refused(reason) => Err(ApiError::refused(reason)),
        _ => Err(ApiError::internal("submitted lines got no verdicts")),
    }
}

impl Taken {
    fn count(&mut self, requests: &Requests, verdicts: &[Verdict]) {
        for ((line, LineRequest { custom_id, rest, .. }), verdict) in requests.iter().zip(verdicts)
        {
            match verdict {
                Ok(()) => self.accepted += 1,
                Err(Reason::Duplicate) => self.duplicates += 1,
                Err(reason) => {
                    let error = refused(rest.kind(), *reason);
                    self.errors.push(LineError::new(line, custom_id.map(Arc::from), &error));
                }
            }
        }
        self.errors.sort_by_key(|error| error.line);
    }
}
