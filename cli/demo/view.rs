//! The demo's live view: a redrawn panel on a terminal, a plain line every two seconds elsewhere.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use anyhow::Result;
use busyhour_carrier::account::Callers;
use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::Line,
    widgets::{Block, Cell, Row, Table},
};

use super::{messages::Progress, writers};

/// How often a plain line is written where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// What there is to see at one instant.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Since the batches were started.
    pub elapsed: Duration,
    /// One row per tenant.
    pub tenants: Vec<TenantRow>,
    /// Name of the carrier.
    pub carrier: String,
    /// Channels in use, as the controller's ledger has it.
    pub channels_in_use: u32,
    /// Channels by contract.
    pub channels: u32,
    /// Call set-ups in the last second.
    pub setups_1s: u32,
    /// Calls per second by contract.
    pub calls_per_second: u32,
    /// The carrier's customers who call the tenants' numbers, by the carrier's account.
    pub callers: Callers,
    /// The tenants' messages.
    pub messages: Progress,
    /// Messages to the tenants' numbers.
    pub written: writers::Progress,
    /// One row per agent.
    pub agents: Vec<AgentRow>,
}

/// One tenant's row.
#[derive(Clone, Debug, Default)]
pub struct TenantRow {
    /// Its name.
    pub name: String,
    /// Waiting.
    pub queued: u64,
    /// Dialled and not over.
    pub in_progress: u64,
    /// Over.
    pub done: u64,
    /// Calls dialled per second, over the last ten.
    pub rate: f64,
    /// Calls per second that its throttle allows, if it has one.
    pub throttle: Option<f64>,
    /// Until its last call is dialled.
    pub eta: Option<Duration>,
    /// The limit that binds.
    pub binding: String,
}

impl TenantRow {
    fn total(&self) -> u64 {
        self.queued + self.in_progress + self.done
    }
}

/// One agent's row.
#[derive(Clone, Debug, Default)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Calls that it holds.
    pub in_use: u32,
    /// Calls that it can hold.
    pub slots: u32,
    /// Of its cores, 0 to 1.
    pub cpu: f64,
    /// It has a stream to the controller.
    pub connected: bool,
}

/// Shows scenes as they come.
pub enum View {
    /// On a terminal.
    Panel(Box<Terminal<CrosstermBackend<std::io::Stderr>>>),
    /// Anywhere else.
    Plain {
        /// When the last line was written.
        last: Option<Instant>,
    },
    /// Nowhere: only the report is wanted.
    Silent,
}

impl View {
    /// A panel tall enough for this scene if standard error is a terminal, and plain lines if not.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn open(scene: &Scene, quiet: bool) -> Result<Self> {
        if quiet {
            return Ok(Self::Silent);
        }
        if !stderr().is_terminal() {
            return Ok(Self::Plain { last: None });
        }
        let viewport = Viewport::Inline(height(scene));
        let options = TerminalOptions { viewport };
        let terminal = Terminal::with_options(CrosstermBackend::new(stderr()), options)?;
        Ok(Self::Panel(Box::new(terminal)))
    }

    /// Shows this scene.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn show(&mut self, scene: &Scene) -> Result<()> {
        match self {
            Self::Panel(terminal) => {
                terminal.draw(|frame| draw(frame, scene))?;
            }
            Self::Plain { last } => {
                if last.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) {
                    *last = Some(Instant::now());
                    writeln!(stderr(), "{}", plain(scene))?;
                }
            }
            Self::Silent => {}
        }
        Ok(())
    }
}

/// Leaves the last scene where it stands and gives the cursor back below it, also when the demo fails or is
/// interrupted: what follows must not be written across the panel.
impl Drop for View {
    fn drop(&mut self) {
        if let Self::Panel(terminal) = self {
            let bottom = terminal.get_frame().area().bottom();
            // A terminal that refuses this shows nothing more anyway.
            let _ = terminal.set_cursor_position((0, bottom.saturating_sub(1)));
            let _ = terminal.show_cursor();
            let _ = writeln!(stderr());
        }
    }
}

/// Columns of every panel's bar where there is room, and where there is less.
const BAR: u16 = 28;
const BAR_NARROW: u16 = 18;
/// From this width on, tenants have a bar, too.
const WIDE: u16 = 111;

/// The carrier's channels, its callers, and messages.
const CARRIER_ROWS: u16 = 4;

fn height(scene: &Scene) -> u16 {
    let rows = scene.tenants.len() + 1 + scene.agents.len();
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(CARRIER_ROWS - 1 + 3 + 2 + 2)
}

fn draw(frame: &mut Frame<'_>, scene: &Scene) {
    let tenant_rows = u16::try_from(scene.tenants.len()).unwrap_or(u16::MAX);
    let agent_rows = u16::try_from(scene.agents.len()).unwrap_or(u16::MAX);
    let [tenants, carrier, agents] = Layout::vertical([
        Constraint::Length(tenant_rows.saturating_add(3)),
        Constraint::Length(CARRIER_ROWS + 2),
        Constraint::Length(agent_rows.saturating_add(2)),
    ])
    .areas(frame.area());
    draw_tenants(frame, tenants, scene);
    draw_carrier(frame, carrier, scene);
    draw_agents(frame, agents, scene);
}

fn draw_tenants(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let is_wide = area.width >= WIDE;
    let legend = "█ done ▒ in progress · queued";
    let head = [
        "tenant",
        legend,
        "done",
        "in progress",
        "queued",
        "rate / throttle",
        "last in",
        "held by",
    ];
    let shown = |column: usize| is_wide || head[column] != legend;
    let rows = scene.tenants.iter().map(|tenant| {
        let number = |count: u64| Cell::from(Line::from(count.to_string()).right_aligned());
        let bar = bar(tenant.done, tenant.in_progress, tenant.total(), BAR.into());
        let cells = [
            Cell::from(tenant.name.clone()).bold(),
            Cell::from(bar).fg(Color::Green),
            number(tenant.done),
            number(tenant.in_progress),
            number(tenant.queued),
            Cell::from(rate(tenant)),
            Cell::from(tenant.eta.map_or("-".to_owned(), |eta| format!("{} s", eta.as_secs()))),
            Cell::from(tenant.binding.clone()).fg(binding_colour(&tenant.binding)),
        ];
        Row::new(cells.into_iter().enumerate().filter(|(n, _)| shown(*n)).map(|(_, cell)| cell))
    });
    let widths = [9, BAR + 1, 5, 11, 6, 17, 8, 16];
    let widths = (0..head.len()).filter(|n| shown(*n)).map(|n| Constraint::Length(widths[n]));
    let names = (0..head.len()).filter(|n| shown(*n)).map(|n| heading(head[n]));
    let title = format!(" busyhour demo, {} s: batches of the tenants ", scene.elapsed.as_secs());
    let table = Table::new(rows, widths)
        .header(Row::new(names).style(Style::new().add_modifier(Modifier::DIM)))
        .block(Block::bordered().title(title.bold()));
    frame.render_widget(table, area);
}

const fn bar_width(area: Rect) -> u16 {
    if area.width >= WIDE { BAR } else { BAR_NARROW }
}

/// A column's name, where its values stand.
fn heading(name: &str) -> Line<'_> {
    let is_count = matches!(name, "done" | "in progress" | "queued");
    if is_count { Line::from(name).right_aligned() } else { Line::from(name) }
}

fn rate(tenant: &TenantRow) -> String {
    let throttle = tenant.throttle.map_or("any".to_owned(), |throttle| format!("{throttle:.1}"));
    format!("{:.1} / {throttle} per s", tenant.rate)
}

fn binding_colour(binding: &str) -> Color {
    match binding {
        "throttle" => Color::Cyan,
        "carrier_channels" | "carrier_rate" | "service_ports" => Color::Yellow,
        "workers" | "no_carrier" => Color::Red,
        _ => Color::Reset,
    }
}

fn draw_carrier(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let (used, channels) = (u64::from(scene.channels_in_use), u64::from(scene.channels));
    let width = bar_width(area).into();
    let carrier = Row::new([
        Cell::from(scene.carrier.clone()).bold(),
        Cell::from(bar(used, 0, channels, width)).fg(Color::Yellow),
        Cell::from(format!("{used} of {channels} channels")),
        Cell::from(format!("{} of {} call set-ups per s", scene.setups_1s, scene.calls_per_second)),
    ]);
    let Callers { planned, called, answered, refused, over, .. } = scene.callers;
    let callers = Row::new([
        Cell::from("callers").bold(),
        Cell::from(bar(over, called.saturating_sub(over), planned, width)).fg(Color::Cyan),
        Cell::from(format!("{called} of {planned} called")),
        Cell::from(format!("{answered} answered, {refused} refused")),
    ]);
    let Progress { accepted, waiting, with_carrier, delivered, ended } = scene.messages;
    let messages = Row::new([
        Cell::from("messages").bold(),
        Cell::from(bar(ended, with_carrier, accepted, width)).fg(Color::Blue),
        Cell::from(format!("{ended} of {accepted} done")),
        Cell::from(format!("{delivered} delivered, {waiting} queued")),
    ]);
    let writers::Progress { planned, taken, received, answers_open } = scene.written;
    let writers = Row::new([
        Cell::from("writers").bold(),
        Cell::from(bar(received, taken.saturating_sub(received), planned, width)).fg(Color::Cyan),
        Cell::from(format!("{taken} of {planned} wrote")),
        Cell::from(format!("{received} received, {answers_open} answers open")),
    ]);
    let rows = vec![carrier, callers, messages, writers];
    draw_block(frame, area, rows, " carrier, its callers, messages ");
}

fn draw_agents(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = scene.agents.iter().map(|agent| {
        let state = if agent.connected { "up".green() } else { "away".red() };
        let cpu = format!(", {:.0} % of its processors", agent.cpu * 100.0);
        Row::new([
            Cell::from(agent.name.clone()).bold(),
            Cell::from(bar(agent.in_use.into(), 0, agent.slots.into(), bar_width(area).into()))
                .fg(Color::Magenta),
            Cell::from(format!("{} of {} calls", agent.in_use, agent.slots)),
            Cell::from(Line::from(vec![state, cpu.into()])),
        ])
    });
    draw_block(frame, area, rows.collect(), " agents ");
}

/// A name, a bar and two texts per row, in columns that stand below those of the tenants.
fn draw_block(frame: &mut Frame<'_>, area: Rect, rows: Vec<Row<'_>>, title: &str) {
    let widths = [9, bar_width(area) + 1, 18, 28].map(Constraint::Length);
    let block = Block::bordered().title(title.bold());
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

/// `full` of `total` as solid cells, `partly` as shaded ones.
fn bar(full: u64, partly: u64, total: u64, width: u64) -> String {
    let cells = |part: u64| usize::try_from(part * width / total.max(1)).unwrap_or(0);
    let (solid, reached) = (cells(full), cells(full + partly));
    let rest = cells(total.max(1)).saturating_sub(reached);
    format!("{}{}{}", "█".repeat(solid), "▒".repeat(reached - solid), "·".repeat(rest))
}

fn plain(scene: &Scene) -> String {
    let mut line = format!("{:>4} s", scene.elapsed.as_secs());
    for tenant in &scene.tenants {
        line += &format!(
            " | {}: {} queued, {} in progress, {} done, {} ({})",
            tenant.name,
            tenant.queued,
            tenant.in_progress,
            tenant.done,
            rate(tenant),
            tenant.binding
        );
    }
    line += &format!(" | channels {} of {}", scene.channels_in_use, scene.channels);
    let Callers { planned, answered, refused, .. } = scene.callers;
    line += &format!(" | callers: {answered} answered, {refused} refused, of {planned}");
    line += &format!(" | messages: {} of {} done", scene.messages.ended, scene.messages.accepted);
    line +=
        &format!(" | writers: {} of {} received", scene.written.received, scene.written.planned);
    for agent in &scene.agents {
        line +=
            &format!(" | {}: {} calls, {:.0} % cpu", agent.name, agent.in_use, agent.cpu * 100.0);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene {
            elapsed: Duration::from_secs(12),
            tenants: vec![TenantRow {
                name: "clinic".into(),
                queued: 30,
                in_progress: 10,
                done: 20,
                rate: 1.9,
                throttle: Some(2.0),
                eta: Some(Duration::from_secs(18)),
                binding: "throttle".into(),
            }],
            carrier: "harbour".into(),
            channels_in_use: 10,
            channels: 30,
            setups_1s: 2,
            calls_per_second: 5,
            callers: Callers {
                planned: 20,
                called: 9,
                answered: 7,
                refused: 1,
                over: 6,
                ..Callers::default()
            },
            messages: Progress {
                accepted: 12,
                waiting: 3,
                with_carrier: 2,
                delivered: 6,
                ended: 7,
            },
            written: writers::Progress { planned: 5, taken: 4, received: 3, answers_open: 2 },
            agents: vec![AgentRow {
                name: "agent-1".into(),
                in_use: 10,
                slots: 50,
                cpu: 0.07,
                connected: true,
            }],
        }
    }

    #[test]
    fn a_plain_line_tells_queue_rate_channels_and_load() {
        let line = plain(&scene());
        for part in [
            "12 s",
            "30 queued",
            "1.9 / 2.0 per s",
            "channels 10 of 30",
            "callers: 7 answered, 1 refused, of 20",
            "messages: 7 of 12 done",
            "writers: 3 of 5 received",
            "agent-1: 10 calls",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn a_bar_is_always_as_wide_as_asked() {
        for (full, partly, total) in [(0, 0, 0), (20, 10, 60), (60, 0, 60), (1, 1, 3)] {
            assert_eq!(bar(full, partly, total, 20).chars().count(), 20, "{full} {partly} {total}");
        }
    }

    #[test]
    fn the_panel_shows_every_tenant_and_agent_whole() {
        let mut scene = scene();
        scene.tenants[0].binding = "carrier_channels".into();
        for (columns, bar) in [(80, "███"), (112, "█████████▒▒▒▒")]
        {
            let backend = ratatui::backend::TestBackend::new(columns, height(&scene));
            let mut terminal = Terminal::new(backend).unwrap();
            terminal.draw(|frame| draw(frame, &scene)).unwrap();
            let screen = terminal.backend().to_string();
            for part in [
                bar,
                "in progress",
                "1.9 / 2.0 per s",
                "18 s",
                "carrier_channels",
                "10 of 30 channels",
                "2 of 5 call set-ups per s",
                "9 of 20 called",
                "7 answered, 1 refused",
                "7 of 12 done",
                "6 delivered, 3 queued",
                "4 of 5 wrote",
                "3 received, 2 answers open",
                "10 of 50 calls",
                "up, 7 % of its processors",
            ] {
                assert!(screen.contains(part), "{part} is not on\n{screen}");
            }
        }
    }
}
