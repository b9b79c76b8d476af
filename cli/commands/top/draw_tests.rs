use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

use super::{
    super::keys::{Asked, press},
    *,
};
use crate::model::{
    Agent, Because, Carrier, Counts, Eta, Inbound, Messages, Overview, Poppers, Queue, Queued,
    Room, Share, Tenant,
};

fn tenant(name: &str, queued: u64, in_progress: u64) -> Tenant {
    Tenant {
        account_sid: format!("AC-{name}"),
        name: name.to_owned(),
        counts: Counts { queued, in_progress, completed: 30, busy: 10, ..Counts::default() },
        dialled_10s: 19,
        spacing_us: Some(500_000),
        eta: (queued > 0).then(|| Eta {
            in_ms: queued * 500,
            in_ms_p90: Some(queued * 600),
            limiting_factor: "throttle".to_owned(),
        }),
        shares: vec![Share {
            guaranteed: 2,
            expected: 5,
            outbound: in_progress as u32,
            ..Share::default()
        }],
        inbound: Inbound { ringing: 1, ..Inbound::default() },
        messages: Messages { waiting: queued / 100, ..Messages::default() },
    }
}

fn queue(tenant: &str, kind: &str, number: Option<&str>, waiting: u64, held_by: &str) -> Queue {
    Queue {
        account_sid: format!("AC-{tenant}"),
        tenant: tenant.to_owned(),
        kind: kind.to_owned(),
        urgency: "ordinary".to_owned(),
        number: number.map(str::to_owned),
        waiting,
        segments: (kind == "message").then_some(waiting * 2),
        held_by: (waiting > 0)
            .then(|| Because { reason: held_by.to_owned(), ..Because::default() }),
        ..Queue::default()
    }
}

fn overview() -> Overview {
    let shut = |reason: &str| Room { binding: reason.to_owned(), ..Room::default() };
    Overview {
        at: "2026-11-21T14:02:11.123Z".to_owned(),
        queued: 1_234,
        in_progress: 42,
        tenants: vec![tenant("clinic", 34, 30), tenant("survey", 1_200, 12), tenant("idle", 0, 0)],
        tenants_more: 7,
        queues: vec![
            Queue {
                batch_sid: Some("BT-spring".to_owned()),
                batch: Some("spring".to_owned()),
                ..queue("survey", "call", None, 1_200, "channels_kept")
            },
            queue("survey", "message", Some("+15550100002"), 12, "number_throttle"),
            Queue {
                application_sid: Some("AP0123".to_owned()),
                ..queue("clinic", "call", Some("+15550100001"), 34, "application_cap")
            },
        ],
        queues_more: 3,
        carriers: vec![
            Carrier {
                name: "harbour".to_owned(),
                channels: 30,
                in_use: 20,
                leased: 3,
                quarantined: 2,
                reserved: 5,
                outbound: shut("channels_reserved"),
                inbound: Room { calls: 5, binding: "ready".to_owned(), ..Room::default() },
                service_ports: 28,
                setup_spacing_us: 204_000,
                setups_1s: 4,
                ..Carrier::default()
            },
            Carrier {
                name: "north".to_owned(),
                channels: 40,
                in_use: 17,
                free: 13,
                inactive: 10,
                setup_spacing_us: 102_000,
                ..Carrier::default()
            },
        ],
        groups: vec![Group {
            name: "default".to_owned(),
            free: 13,
            kept_guaranteed: 4,
            lendable: 9,
            ..Group::default()
        }],
        lines: vec![Queued {
            carriers: vec!["harbour".to_owned(), "north".to_owned()],
            urgency: "ordinary".to_owned(),
            class: "beyond".to_owned(),
            standing: 2,
            held_by: "channels_kept".to_owned(),
        }],
        poppers: vec![Poppers {
            carriers: vec!["harbour".to_owned(), "north".to_owned()],
            number: 13,
            waiting: 1_234,
        }],
        agents: vec![
            Agent {
                name: "agent-1".to_owned(),
                connected: true,
                slots: 50,
                in_use: 42,
                cpu_permille: 71,
                draining: false,
            },
            Agent { name: "agent-2".to_owned(), slots: 50, ..Agent::default() },
        ],
    }
}

fn app() -> App {
    App::new("http://127.0.0.1:8080/".to_owned(), Duration::from_secs(1), overview())
}

fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    terminal.backend().to_string()
}

fn key(app: &mut App, code: KeyCode) -> Asked {
    press(app, KeyEvent::new(code, KeyModifiers::NONE))
}

/// The names in the order of their rows.
fn order(screen: &str, names: &[&str]) -> Vec<String> {
    let mut found: Vec<_> =
        names.iter().filter_map(|name| Some((screen.find(name)?, (*name).to_owned()))).collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

const TENANTS: [&str; 3] = ["clinic", "survey", "idle"];

#[test]
fn mt_27_the_screen_shows_tenants_carriers_and_agents_and_why_no_more() {
    for (width, height) in [(80, 24), (100, 30), (140, 40)] {
        let screen = screen(&mut app(), width, height);
        for part in [
            "14:02:11 UTC",
            "in progress 42",
            "waiting     1,234",
            "channels    42 of 70",
            "set-ups/s   4 of 15",
            "7 more are quieter",
            "throttle",
            "10 min 0 s",
            "channels_reserved",
            "4/5",
            "agent-1",
            "away",
            "1 of 2 up, 50 slots",
            // What a narrow screen would cut off is said in short.
            if width < 90 { "13 free, 9 for any" } else { "13 free, 4 for guarantees" },
            "13 poppers for 1,234 over harbour+north",
            "ordinary, beyond, over harbour+north: 2 queues, channels_kept",
        ] {
            assert!(
                screen.contains(part),
                "{part:?} is not on the {width} x {height} screen\n{screen}"
            );
        }
        // On a low one there is room for two rows of each table.
        let rows = if height > 24 { 3 } else { 2 };
        assert_eq!(order(&screen, &TENANTS), ["survey", "clinic", "idle"][..rows], "{screen}");
    }
    let wide = screen(&mut app(), 180, 50);
    for part in ["12 min 0 s", "2/5/∞", "75", "QUARANT", "PROGRESS", "RINGING", "RESERVED", "████"]
    {
        assert!(wide.contains(part), "{part:?} is not on\n{wide}");
    }
}

#[test]
fn mt_7_mt_8_queues_of_calls_and_messages_are_shown_by_number_batch_and_application() {
    let tall = screen(&mut app(), 160, 44);
    for part in [
        "queues: 3 rows, 1,234 calls and 12 messages waiting, 3 more are shorter",
        "+15550100002",
        "number_throttle",
        "spring",
        "AP0123",
        "application_cap",
        "1,234, 12 msg",
        "SEGMENTS",
    ] {
        assert!(tall.contains(part), "{part:?} is not on\n{tall}");
    }
    // On a low one there is a little of everything, and one goes through the rows.
    for (width, height) in [(80, 22), (80, 24), (120, 30)] {
        let shown = screen(&mut app(), width, height);
        for part in ["tenants:", "queues:", "carriers:", "agents:", "1,200", "harbour", "agent-1"] {
            assert!(
                shown.contains(part),
                "{part:?} is not on the {width} x {height} screen\n{shown}"
            );
        }
    }
    let mut low = app();
    key(&mut low, KeyCode::Tab);
    key(&mut low, KeyCode::End);
    let shown = screen(&mut low, 80, 24);
    for part in ["messages", "+15550100002", "+15550100001", "application_cap"] {
        assert!(shown.contains(part), "{part:?} is not on\n{shown}");
    }
    key(&mut low, KeyCode::Home);
    // The longest first; a batch's queue is explained as the batch.
    assert_eq!(low.chosen(), Some(About::Batch("BT-spring".to_owned())));
    key(&mut low, KeyCode::Down);
    assert_eq!(low.chosen(), Some(About::Tenant("AC-clinic".to_owned())));
}

#[test]
fn every_size_of_screen_is_drawn() {
    for width in [1, 10, 40, 79, 200] {
        for height in [1, 3, 8, 12, 21, 60] {
            for mode in [Mode::Tables, Mode::Filter, Mode::Help] {
                let mut app = app();
                app.mode = mode;
                screen(&mut app, width, height);
            }
        }
    }
    let low = screen(&mut app(), 80, 14);
    assert!(low.contains("survey") && !low.contains("CARRIER"), "only the focused table\n{low}");
}

#[test]
fn keys_sort_filter_and_choose_within_bounds() {
    let mut app = app();
    key(&mut app, KeyCode::Char('r'));
    assert_eq!(order(&screen(&mut app, 100, 30), &TENANTS), ["idle", "clinic", "survey"]);
    key(&mut app, KeyCode::Left);
    key(&mut app, KeyCode::Left);
    assert!(screen(&mut app, 100, 30).contains("TENANT▼"));
    assert_eq!(order(&screen(&mut app, 100, 30), &TENANTS), ["clinic", "idle", "survey"]);
    for code in [KeyCode::End, KeyCode::PageDown, KeyCode::Down] {
        key(&mut app, code);
        assert_eq!(app.chosen(), Some(About::Tenant("AC-survey".to_owned())));
    }
    // The chosen row goes with the filter, and back to the first row.
    key(&mut app, KeyCode::Char('/'));
    "CLIN".chars().for_each(|letter| drop(key(&mut app, KeyCode::Char(letter))));
    let filtered = screen(&mut app, 100, 30);
    assert_eq!(order(&filtered, &TENANTS), ["clinic"]);
    assert!(filtered.contains("names that contain: CLIN"));
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.chosen(), Some(About::Tenant("AC-clinic".to_owned())));
    let filtered = screen(&mut app, 80, 24);
    assert!(filtered.contains("names with \"CLIN\" only, Esc shows all"), "{filtered}");
    key(&mut app, KeyCode::Esc);
    assert!(screen(&mut app, 80, 24).contains(" ?  keys"));
    assert_eq!(order(&screen(&mut app, 100, 30), &TENANTS).len(), 3);
    key(&mut app, KeyCode::Home);
    key(&mut app, KeyCode::Up);
    assert_eq!(app.chosen(), Some(About::Tenant("AC-clinic".to_owned())));
    (0..1_000).for_each(|_| app.type_filter('x'));
    assert_eq!(app.filter.len(), 64);
    assert_eq!(app.chosen(), None);
    key(&mut app, KeyCode::Down);
    screen(&mut app, 100, 30);
}

#[test]
fn a_chosen_row_is_explained_and_scrolls_within_its_text() {
    let mut app = app();
    key(&mut app, KeyCode::Tab);
    key(&mut app, KeyCode::Tab);
    key(&mut app, KeyCode::Down);
    let about = About::Carrier("north".to_owned());
    assert_eq!(key(&mut app, KeyCode::Enter), Asked::Explain(about.clone()));
    assert!(screen(&mut app, 100, 30).contains("run ahead on a copy"));
    app.explained(&About::Carrier("other".to_owned()), "not this".to_owned());
    app.explained(&about, "Carrier north\n  channels\n  last line".to_owned());
    let shown = screen(&mut app, 100, 30);
    assert!(shown.contains("Carrier north") && !shown.contains("not this"), "{shown}");
    key(&mut app, KeyCode::PageDown);
    assert!(matches!(app.mode, Mode::Explained { scroll: 2, .. }));
    assert!(screen(&mut app, 100, 30).contains("last line"));
    key(&mut app, KeyCode::Home);
    assert!(matches!(app.mode, Mode::Explained { scroll: 0, .. }));
    assert_eq!(key(&mut app, KeyCode::Char('q')), Asked::Nothing);
    assert_eq!(app.mode, Mode::Tables);
    assert_eq!(key(&mut app, KeyCode::Char('q')), Asked::Quit);
}

#[test]
fn an_api_that_is_away_is_told_and_the_last_picture_stays() {
    let mut app = app();
    app.looked(Err("http://127.0.0.1:8080/ does not answer".to_owned()));
    let shown = screen(&mut app, 80, 24);
    assert!(shown.contains("does not answer") && shown.contains("survey"), "{shown}");
    app.paused = true;
    let mut later = overview();
    later.tenants.clear();
    later.in_progress = 99;
    app.looked(Ok(later));
    let shown = screen(&mut app, 140, 30);
    assert!(shown.contains("held still") && shown.contains("survey"), "{shown}");
    assert!(shown.contains("at most 99"), "the sparkline goes on\n{shown}");
    (0..5_000).for_each(|_| app.looked(Ok(overview())));
    assert_eq!(app.history.len(), 1_000);
}

#[test]
fn the_same_is_told_without_a_screen() {
    let text = super::super::plain::tables(&overview());
    for part in [
        "42 in progress",
        "WAITING",
        "1,200",
        "channels_reserved",
        "and 7 more tenants",
        "1 of 2 agents",
        "group default: 13 free",
        "over harbour+north: 2 queues",
        "number_throttle",
        "and 3 more queues",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()));
}
