//! The picture: what is going on at the top, then the tables, the keys at the bottom.

use ratatui::{
    Frame,
    layout::{Constraint, Direction, Layout, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span, Text},
    widgets::{
        Block, BorderType, Clear, Paragraph, Row, Scrollbar, ScrollbarOrientation, ScrollbarState,
        Sparkline, SparklineBar, Table as Widget, Wrap,
    },
};

use super::{
    app::{App, Mode, Pane},
    columns::Listed,
    keys::KEYS,
    tables::{PARTS, parts},
};
use crate::{
    commands::explain::About,
    model::{Carrier, Group, Overview, Poppers, Queued},
    words::{count, many, rate},
};

/// Rows of the summary at least, and where tables leave some over.
const SUMMARY: u16 = 4;
const SUMMARY_MAX: u16 = 6;
/// On a screen of fewer rows than this the summary gives way to the tables, down to this.
const LOW: u16 = 31;
const SUMMARY_LOW: u16 = 2;
/// A table with one row. Where four of these do not fit only the focused one is shown.
const TABLE_MIN: u16 = 4;
/// Columns of the summary's numbers, and how many a sparkline with its title needs.
const NUMBERS: u16 = 30;
const SPARK_MIN: u16 = 40;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let [head, spark, tables, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(summary_rows(frame.area().height, app)),
        Constraint::Min(5),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading(app), head);
    summary(frame, spark, app);
    for (pane, area) in areas(tables, app) {
        match pane {
            Pane::Tenants => tenants(frame, area, app),
            Pane::Queues => queues(frame, area, app),
            Pane::Carriers => carriers(frame, area, app),
            Pane::Agents => agents(frame, area, app),
        }
    }
    frame.render_widget(footer(app), foot);
    match &app.mode {
        Mode::Help => help(frame),
        Mode::Explained { about, text, scroll } => {
            explanation(frame, about, text.as_deref(), *scroll)
        }
        Mode::Tables | Mode::Filter => {}
    }
}

/// Rows that each table needs, in the order of [`Pane::ALL`]. More than a thousand fit on no screen.
fn wanted(app: &App) -> [u16; 4] {
    let Overview { tenants, queues, carriers, agents, .. } = &app.overview;
    [tenants.len(), queues.len(), carriers.len(), agents.len()]
        .map(|rows| rows.min(1_000) as u16 + 3)
}

/// What the tables leave over goes to the summary.
fn summary_rows(screen: u16, app: &App) -> u16 {
    let tables: u16 = wanted(app).iter().sum();
    let left = screen.saturating_sub(tables + 2);
    if left < SUMMARY && screen < LOW { SUMMARY_LOW } else { left.clamp(SUMMARY, SUMMARY_MAX) }
}

/// Where each table goes. If not all rows fit, carriers and agents have a quarter each at most, and tenants and queues share
/// the rest.
fn areas(all: Rect, app: &App) -> Vec<(Pane, Rect)> {
    if all.height < 4 * TABLE_MIN {
        return vec![(app.focus, all)];
    }
    let [tenants, queues, carriers, agents] = wanted(app);
    let fits = tenants + queues + carriers + agents <= all.height;
    let most = if fits { u16::MAX } else { all.height / 4 };
    let [upper, carriers, agents] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(carriers.min(most)),
        Constraint::Length(agents.min(most)),
    ])
    .areas(all);
    let queues = queues.min((upper.height / 2).max(upper.height.saturating_sub(tenants)));
    let [tenants, queues] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(queues)]).areas(upper);
    Pane::ALL.into_iter().zip([tenants, queues, carriers, agents]).collect()
}

fn heading(app: &App) -> Line<'_> {
    let time = app.overview.at.split_once('T').and_then(|(_, time)| time.get(..8));
    let mut spans = vec![
        " busyhour top ".bold().reversed(),
        format!("  {} UTC  ", time.unwrap_or("--:--:--")).into(),
    ];
    // It names the address, which would take the room of what is the matter.
    spans.push(match &app.problem {
        Some(problem) => problem.as_str().red(),
        None => app.base.as_str().dim(),
    });
    if app.paused {
        spans.push("  held still ".yellow().bold());
    }
    Line::from(spans)
}

fn summary(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let is_low = area.height < SUMMARY;
    let numbers = if is_low { 2 * NUMBERS } else { NUMBERS };
    let [numbers, spark] =
        Layout::horizontal([Constraint::Length(numbers), Constraint::Min(10)]).areas(area);
    let overview = &app.overview;
    let carriers = &overview.carriers;
    let held = carriers.iter().map(|one| u64::from(one.in_use + one.leased + one.quarantined));
    let channels: u64 = carriers.iter().map(|one| u64::from(one.channels)).sum();
    let setups: f64 = carriers.iter().map(|one| f64::from(one.setups_1s)).sum();
    let setups_max: f64 = carriers.iter().map(Carrier::setups_max).sum();
    let line = |name: &'static str, value: String| {
        Line::from(vec![format!(" {name:<12}").dim(), value.bold()])
    };
    let requests =
        [line("in progress", count(overview.in_progress)), line("waiting", waiting(overview))];
    let capacity = [
        line("channels", format!("{} of {}", count(held.sum()), count(channels))),
        line("set-ups/s", format!("{} of {}", rate(setups), rate(setups_max))),
    ];
    let direction = if is_low { Direction::Horizontal } else { Direction::Vertical };
    let places = Layout::new(direction, [Constraint::Fill(1), Constraint::Fill(1)]);
    let [above, below] = places.areas(Rect { height: numbers.height.min(SUMMARY), ..numbers });
    frame.render_widget(Paragraph::new(requests.to_vec()), above);
    frame.render_widget(Paragraph::new(capacity.to_vec()), below);
    if spark.width >= SPARK_MIN || !is_low {
        sparkline(frame, spark, app);
    }
}

/// What waits: calls, and messages if there are any.
fn waiting(overview: &Overview) -> String {
    let messages: u64 = overview.tenants.iter().map(|tenant| tenant.messages.waiting).sum();
    let calls = count(overview.queued);
    if messages == 0 { calls } else { format!("{calls}, {} msg", count(messages)) }
}

/// Calls in progress at each look, the last one at the right.
fn sparkline(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let [title, graph] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let width = usize::from(graph.width);
    let looks = app.history.iter().rev().take(width).copied();
    let mut looks: Vec<Option<u64>> = looks.map(Some).collect();
    looks.resize(width, None);
    looks.reverse();
    let most = looks.iter().flatten().max().copied().unwrap_or(0);
    let span = crate::words::span(app.every.as_millis() as u64 * width as u64);
    let channels: u64 = app.overview.carriers.iter().map(|one| u64::from(one.channels)).sum();
    let words = format!("calls in progress over {span}, at most {} of {channels}", count(most));
    frame.render_widget(Line::from(words.dim()), title);
    let bars: Vec<SparklineBar> = looks.into_iter().map(SparklineBar::from).collect();
    let graph_of = Sparkline::default()
        .data(bars)
        .max(most.max(channels).max(1))
        .absent_value_symbol(" ")
        .style(Style::new().fg(Color::Green));
    frame.render_widget(graph_of, graph);
}

fn tenants(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let rows: Vec<_> = app.tenants().into_iter().cloned().collect();
    let mut title = format!(" tenants: {}", many(rows.len() as u64, "row"));
    if app.overview.tenants_more > 0 {
        title += &format!(", {} more are quieter", count(app.overview.tenants_more));
    }
    let lines = app.overview.lines.iter().map(queued).collect::<Vec<_>>().join("; ");
    let below = if lines.is_empty() { Line::default() } else { format!(" {lines} ").into() };
    table(frame, area, app, Pane::Tenants, &rows, (title + " ").bold().into(), below.dim());
}

fn queues(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let rows: Vec<_> = app.queues().into_iter().cloned().collect();
    let waiting = |kind: &str| -> u64 {
        rows.iter().filter(|queue| queue.kind == kind).map(|queue| queue.waiting).sum()
    };
    let (calls, messages) = (waiting("call"), waiting("message"));
    let mut title = format!(
        " queues: {}, {} and {} waiting",
        many(rows.len() as u64, "row"),
        many(calls, "call"),
        many(messages, "message")
    );
    if app.overview.queues_more > 0 {
        title += &format!(", {} more are shorter", count(app.overview.queues_more));
    }
    table(frame, area, app, Pane::Queues, &rows, (title + " ").bold().into(), Line::default());
}

fn carriers(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let rows: Vec<_> = app.carriers().into_iter().cloned().collect();
    let mut title = vec![" carriers: ".bold()];
    for ((_, symbol, colour), word) in parts(&Carrier::default()).into_iter().zip(PARTS) {
        title.extend([symbol.fg(colour), format!(" {word} ").into()]);
    }
    let told = |how: fn(&Group) -> String| {
        let groups: Vec<_> = app.overview.groups.iter().map(how).collect();
        format!(" {} ", groups.join("; "))
    };
    // Whole, or else what matters most, where a narrow screen would cut it off.
    let whole = told(group);
    let fits = whole.chars().count() + 2 <= usize::from(area.width);
    let groups = if fits { whole } else { told(group_in_short) };
    let below = if app.overview.groups.is_empty() { Line::default() } else { groups.into() };
    table(frame, area, app, Pane::Carriers, &rows, title.into(), below.dim());
}

/// How many requests of a route may be taken at one instant, and how many wait for it.
pub(super) fn poppers(route: &Poppers) -> String {
    let poppers = many(u64::from(route.number), "popper");
    format!("{poppers} for {} over {}", count(route.waiting), route.carriers.join("+"))
}

/// Who stands in a line, and why nothing is taken from it.
pub(super) fn queued(line: &Queued) -> String {
    let Queued { urgency, class, held_by, .. } = line;
    let queues = many(line.standing, "queue");
    format!("{urgency}, {class}, over {}: {queues}, {held_by}", line.carriers.join("+"))
}

/// What is free of a group of carriers, and for whom.
pub(super) fn group(group: &Group) -> String {
    format!(
        "group {}: {} free, {} for guarantees, {} for what is expected, {} margin, {} for any",
        group.name,
        group.free,
        group.kept_guaranteed,
        group.kept_expected,
        group.margin,
        group.lendable
    )
}

/// The same in short.
fn group_in_short(group: &Group) -> String {
    format!("group {}: {} free, {} for any", group.name, group.free, group.lendable)
}

fn agents(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let rows: Vec<_> = app.agents().into_iter().cloned().collect();
    let up = rows.iter().filter(|agent| agent.connected).count();
    let slots: u64 =
        rows.iter().filter(|agent| agent.connected).map(|row| u64::from(row.slots)).sum();
    let title = format!(" agents: {up} of {} up, {} ", rows.len(), many(slots, "slot"));
    let routes = app.overview.poppers.iter().map(poppers).collect::<Vec<_>>().join("; ");
    let below = if routes.is_empty() { Line::default() } else { format!(" {routes} ").into() };
    table(frame, area, app, Pane::Agents, &rows, title.bold().into(), below.dim());
}

fn table<T: Listed>(
    frame: &mut Frame<'_>,
    area: Rect,
    app: &mut App,
    pane: Pane,
    rows: &[T],
    title: Line<'_>,
    below: Line<'_>,
) {
    let is_focused = app.focus == pane;
    let table = &mut app.tables[pane as usize];
    let sorted = table.column;
    let arrow = if table.reversed { "▲" } else { "▼" };
    let columns: Vec<_> =
        T::COLUMNS.iter().enumerate().filter(|(_, column)| column.from <= area.width).collect();
    let heads = columns.iter().map(|(n, column)| {
        let name = if *n == sorted {
            Span::styled(format!("{}{arrow}", column.name), Modifier::BOLD)
        } else {
            Span::styled(column.name, Modifier::DIM)
        };
        let line = Line::from(name);
        if column.is_number() { line.right_aligned() } else { line }
    });
    let heads = Row::new(heads.collect::<Vec<_>>());
    let lines = rows.iter().map(|row| Row::new(columns.iter().map(|(_, column)| column.cell(row))));
    let widths = columns.iter().map(|(_, column)| Constraint::Length(column.width));
    let border = if is_focused { Style::new().fg(Color::Cyan) } else { Style::new().dim() };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(border)
        .title(title)
        .title_bottom(below);
    let chosen = if is_focused { Style::new().reversed() } else { Style::new() };
    let widget = Widget::new(lines, widths).header(heads).row_highlight_style(chosen).block(block);
    frame.render_stateful_widget(widget, area, &mut table.state);
    let visible = usize::from(area.height.saturating_sub(3));
    if rows.len() > visible {
        let mut state = ScrollbarState::new(rows.len().saturating_sub(visible))
            .position(table.state.offset())
            .viewport_content_length(visible);
        let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight);
        frame.render_stateful_widget(bar, area, &mut state);
    }
}

fn footer(app: &App) -> Line<'_> {
    if app.mode == Mode::Filter {
        return Line::from(vec![
            " names that contain: ".bold(),
            app.filter.as_str().into(),
            "▏".into(),
            "  Enter keeps it, Esc shows all".dim(),
        ]);
    }
    // What a narrow screen cuts off is in the list of keys.
    let keys = [
        ("q", "quit"),
        ("?", "keys"),
        ("Tab", "table"),
        ("↑↓", "row"),
        ("←→", "sort"),
        ("/", "filter"),
        ("Enter", "explain"),
        ("p", "hold"),
        ("r", "reverse"),
    ];
    let mut spans = Vec::new();
    if !app.filter.is_empty() {
        spans.push(format!(" names with {:?} only, Esc shows all ", app.filter).yellow());
    }
    for (key, what) in keys {
        spans.extend([format!(" {key} ").reversed(), format!(" {what} ").into()]);
    }
    Line::from(spans)
}

fn popup(frame: &mut Frame<'_>, height: u16, title: String, text: Text<'_>, scroll: u16) {
    let all = frame.area();
    let width = all.width.saturating_sub(4).min(130);
    let height = height.saturating_add(2).min(all.height.saturating_sub(2));
    let area = Rect {
        x: all.width.saturating_sub(width) / 2,
        y: all.height.saturating_sub(height) / 2,
        width,
        height,
    };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::Cyan))
        .title(Line::from(title).bold())
        .title_bottom(Line::from(" any other key closes, ↑↓ scroll ").right_aligned().dim());
    frame.render_widget(Clear, area);
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false }).scroll((scroll, 0));
    frame.render_widget(paragraph.block(block), area);
}

fn help(frame: &mut Frame<'_>) {
    let lines = KEYS.map(|(key, what)| Line::from(vec![format!(" {key:<14}").bold(), what.into()]));
    popup(frame, KEYS.len() as u16, " keys ".to_owned(), Text::from(lines.to_vec()), 0);
}

fn explanation(frame: &mut Frame<'_>, about: &About, text: Option<&str>, scroll: u16) {
    let title = format!(" {}, Enter asks again ", about.path());
    let text = text.unwrap_or("The engine is run ahead on a copy ...");
    let width = frame.area().width.saturating_sub(6).clamp(1, 128);
    let rows = |line: &str| line.chars().count().div_ceil(usize::from(width)).max(1);
    let height: usize = text.lines().map(rows).sum();
    popup(frame, u16::try_from(height).unwrap_or(u16::MAX), title, Text::from(text), scroll);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
