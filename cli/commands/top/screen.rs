//! The terminal: looks and keys come in, pictures go out. Nothing that is slow holds up a key.

use std::{thread, time::Duration};

use anyhow::Result;
use crossterm::event::{self, Event};
use tokio::sync::mpsc;

use super::{
    Source,
    app::App,
    draw,
    keys::{Asked, press},
};
use crate::{
    commands::explain::{About, explained},
    model::Overview,
    process,
};

/// Keys and looks that wait to be shown. Beyond it whoever sends them waits.
const WAITING_MAX: usize = 64;

/// What comes in.
enum News {
    Terminal(Event),
    Looked(Result<Overview, String>),
    Explained(About, String),
}

/// Shows until somebody quits.
pub(super) async fn run(source: Source, first: Overview, every: Duration) -> Result<()> {
    let shutdown = process::shutdown()?;
    let mut app = App::new(source.client.base().to_owned(), every, first);
    let (tell, mut news) = mpsc::channel(WAITING_MAX);
    let mut terminal = ratatui::try_init()?;
    let _restored = Restored;
    listen(tell.clone());
    tokio::spawn(look(source.clone(), every, tell.clone()));
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut app))?;
        let next = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            next = news.recv() => next,
        };
        let asked = match next {
            None => return Ok(()),
            Some(News::Terminal(Event::Key(key))) => press(&mut app, key),
            Some(News::Terminal(_)) => Asked::Nothing,
            Some(News::Looked(looked)) => {
                app.looked(looked);
                Asked::Nothing
            }
            Some(News::Explained(about, text)) => {
                app.explained(&about, text);
                Asked::Nothing
            }
        };
        match asked {
            Asked::Nothing => {}
            Asked::Quit => return Ok(()),
            Asked::Explain(about) => {
                tokio::spawn(explain(source.clone(), about, tell.clone()));
            }
        }
    }
}

/// Gives the terminal back, however this ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Keys, from a thread that waits for them. It ends with the process.
fn listen(tell: mpsc::Sender<News>) {
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if tell.blocking_send(News::Terminal(event)).is_err() {
                return;
            }
        }
    });
}

async fn look(source: Source, every: Duration, tell: mpsc::Sender<News>) {
    loop {
        tokio::time::sleep(every).await;
        let looked = source.read().await.map_err(|problem| problem.to_string());
        if tell.send(News::Looked(looked)).await.is_err() {
            return;
        }
    }
}

async fn explain(source: Source, about: About, tell: mpsc::Sender<News>) {
    let told = explained(&source.client, &about).await;
    let told = told.unwrap_or_else(|problem| problem.to_string());
    // Nobody waits for it when the screen is gone.
    let _ = tell.send(News::Explained(about, told)).await;
}
