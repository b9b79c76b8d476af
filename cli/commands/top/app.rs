//! What the screen shows: the last look, the way it is sorted and filtered, and where each table stands.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use ratatui::widgets::TableState;

use super::columns::{Key, Listed};
use crate::{
    commands::explain::About,
    model::{Agent, Carrier, Overview, Queue, Tenant},
};

/// Looks that the sparkline remembers; wider than any screen.
const HISTORY_MAX: usize = 1_000;

/// Longest filter.
const FILTER_MAX: usize = 64;

/// The tables, from top to bottom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pane {
    Tenants,
    Queues,
    Carriers,
    Agents,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Tenants, Self::Queues, Self::Carriers, Self::Agents];
}

/// What keys mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// They move and sort.
    Tables,
    /// They are the filter's letters.
    Filter,
    /// The list of keys is shown.
    Help,
    /// An explanation is shown, or awaited.
    Explained { about: About, text: Option<String>, scroll: u16 },
}

/// How one table is sorted, and which row is chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) column: usize,
    pub(super) reversed: bool,
    pub(super) state: TableState,
}

/// Everything on the screen.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) base: String,
    pub(super) every: Duration,
    pub(super) overview: Overview,
    /// Calls in progress at each look.
    pub(super) history: VecDeque<u64>,
    pub(super) tables: [Table; 4],
    pub(super) focus: Pane,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) paused: bool,
    /// Why the last look failed.
    pub(super) problem: Option<String>,
}

impl App {
    pub(super) fn new(base: String, every: Duration, first: Overview) -> Self {
        let table = |column| Table { column, ..Table::default() };
        let mut app = Self {
            base,
            every,
            overview: Overview::default(),
            history: VecDeque::new(),
            tables: [
                table(Tenant::FIRST),
                table(Queue::FIRST),
                table(Carrier::FIRST),
                table(Agent::FIRST),
            ],
            focus: Pane::Tenants,
            filter: String::new(),
            mode: Mode::Tables,
            paused: false,
            problem: None,
        };
        app.looked(Ok(first));
        app
    }

    /// A look at the API came back.
    pub(super) fn looked(&mut self, looked: Result<Overview, String>) {
        match looked {
            Ok(overview) => {
                self.history.push_back(overview.in_progress);
                if self.history.len() > HISTORY_MAX {
                    self.history.pop_front();
                }
                self.problem = None;
                if !self.paused {
                    self.overview = overview;
                }
                self.keep_in_bounds();
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// An explanation came.
    pub(super) fn explained(&mut self, of: &About, told: String) {
        if let Mode::Explained { about, text, .. } = &mut self.mode
            && about == of
        {
            *text = Some(told);
        }
    }

    pub(super) fn table(&self, pane: Pane) -> &Table {
        &self.tables[pane as usize]
    }

    pub(super) fn focused(&mut self) -> &mut Table {
        &mut self.tables[self.focus as usize]
    }

    pub(super) fn tenants(&self) -> Vec<&Tenant> {
        self.rows(&self.overview.tenants, Pane::Tenants)
    }

    pub(super) fn queues(&self) -> Vec<&Queue> {
        self.rows(&self.overview.queues, Pane::Queues)
    }

    pub(super) fn carriers(&self) -> Vec<&Carrier> {
        self.rows(&self.overview.carriers, Pane::Carriers)
    }

    pub(super) fn agents(&self) -> Vec<&Agent> {
        self.rows(&self.overview.agents, Pane::Agents)
    }

    fn rows<'a, T: Listed>(&self, all: &'a [T], pane: Pane) -> Vec<&'a T> {
        let wanted = self.filter.to_lowercase();
        let mut rows: Vec<_> =
            all.iter().filter(|row| row.name().to_lowercase().contains(&wanted)).collect();
        let Table { column, reversed, .. } = self.table(pane);
        let column = &T::COLUMNS[*column];
        rows.sort_by(|a, b| {
            let order = order(&column.key(a), &column.key(b));
            let order = if *reversed { order.reverse() } else { order };
            order.then_with(|| a.name().cmp(b.name()))
        });
        rows
    }

    /// Rows of the focused table.
    pub(super) fn shown(&self) -> usize {
        match self.focus {
            Pane::Tenants => self.tenants().len(),
            Pane::Queues => self.queues().len(),
            Pane::Carriers => self.carriers().len(),
            Pane::Agents => self.agents().len(),
        }
    }

    /// Moves the chosen row by so many, as far as there are rows.
    pub(super) fn step(&mut self, by: isize) {
        let last = self.shown().saturating_sub(1);
        let state = &mut self.focused().state;
        let to = state.selected().unwrap_or(0).saturating_add_signed(by).min(last);
        state.select(Some(to));
    }

    pub(super) fn columns(&self) -> usize {
        match self.focus {
            Pane::Tenants => Tenant::COLUMNS.len(),
            Pane::Queues => Queue::COLUMNS.len(),
            Pane::Carriers => Carrier::COLUMNS.len(),
            Pane::Agents => Agent::COLUMNS.len(),
        }
    }

    /// What stands in the chosen row, if it can be explained.
    pub(super) fn chosen(&self) -> Option<About> {
        let at = self.table(self.focus).state.selected().unwrap_or(0);
        match self.focus {
            Pane::Tenants => {
                self.tenants().get(at).map(|row| About::Tenant(row.account_sid.clone()))
            }
            // A queue is explained by what it is of.
            Pane::Queues => self.queues().get(at).map(|row| match &row.batch_sid {
                Some(batch) => About::Batch(batch.clone()),
                None => About::Tenant(row.account_sid.clone()),
            }),
            Pane::Carriers => self.carriers().get(at).map(|row| About::Carrier(row.name.clone())),
            Pane::Agents => None,
        }
    }

    pub(super) fn type_filter(&mut self, letter: char) {
        if self.filter.chars().count() < FILTER_MAX && !letter.is_control() {
            self.filter.push(letter);
            self.keep_in_bounds();
        }
    }

    /// With less rows than before, no row beyond the last is chosen.
    pub(super) fn keep_in_bounds(&mut self) {
        let focus = self.focus;
        for pane in Pane::ALL {
            self.focus = pane;
            if self.table(pane).state.selected().is_some() {
                self.step(0);
            }
        }
        self.focus = focus;
    }
}

/// Words from A, numbers from the largest.
fn order(a: &Key, b: &Key) -> Ordering {
    match (a, b) {
        (Key::Number(a), Key::Number(b)) => b.total_cmp(a),
        (a, b) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
    }
}
