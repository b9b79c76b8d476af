//! How long the worst document keeps the parser (`RELIABILITY.md`: under 10 ms), as one line of JSON.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a bench program measures time and prints; the core it measures does neither"
)]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use busyhour_agent_core::twiml::{bounds, parse};

/// Documents of the largest size, each after another weakness of parsers.
fn hostile() -> Vec<(&'static str, String)> {
    let attributes = |prefix: &str| {
        (0..bounds::ATTRIBUTES_MAX).fold(String::new(), |mut text, n| {
            let _ = write!(text, " {prefix}{n}=\"\"");
            text
        })
    };
    let wrap = |piece: &str| {
        let room = bounds::BYTES_MAX - "<Response></Response>".len();
        format!("<Response>{}</Response>", piece.repeat(room / piece.len()))
    };
    let deep = |depth: usize, inner: &str| {
        format!("{}{inner}{}", "<a>".repeat(depth), "</a>".repeat(depth))
    };
    let namespaces = |depth: usize, each: usize, piece: &str| {
        let open = (0..depth).fold("<Response>".to_owned(), |mut text, level| {
            let declared = (0..each).map(|n| format!(" xmlns:n{level}z{n}='{level}{n}'"));
            let _ = write!(text, "<a{}>", declared.collect::<String>());
            text
        });
        let close = "</a>".repeat(depth) + "</Response>";
        let room = bounds::BYTES_MAX.saturating_sub(open.len() + close.len());
        format!("{open}{}{close}", piece.repeat(room / piece.len()))
    };
    vec![
        ("empty elements", wrap("<a/>")),
        ("unknown attributes", wrap(&format!("<Say{}/>", attributes("a")))),
        ("namespaces", wrap(&format!("<a{}/>", attributes("xmlns:n")))),
        ("nested namespaces", wrap(&deep(30, "<b xmlns:a='x' xmlns:b='y'/>"))),
        (
            "a few prefixes",
            namespaces(1, bounds::NAMESPACES_MAX, "<n0z9:a n0z9:b='' n0z8:c='' n0z7:d=''/>"),
        ),
        ("prefixes", namespaces(24, 64, "<n9z9:a n9z9:b='' n9z8:c='' n9z7:d=''/>")),
        ("namespaces copied", namespaces(24, 64, "<b xmlns:z='q'/>")),
        ("character references", wrap("&#120;")),
        ("text in pieces", format!("<Response><Say>{}</Say></Response>", "a<b/>".repeat(13_000))),
        ("comments", wrap("<!---->")),
        ("open comment", format!("<Response>{}", "<!--".repeat(16_000))),
        ("open tags", "<a ".repeat(21_000)),
        ("quotes", format!("<Response a=\"{}", "'\"".repeat(32_000))),
        ("line breaks and warnings", wrap("\n<X y='1'/>")),
        ("templates", wrap("<Play>{{{{{{{{</Play>")),
    ]
}

fn main() {
    let mut worst = (Duration::ZERO, "");
    for (name, mut document) in hostile() {
        document.truncate(bounds::BYTES_MAX);
        // The least of several runs is what the document costs; more is the machine's noise.
        let cost = (0..30)
            .map(|_| {
                let start = Instant::now();
                let _ = black_box(parse(black_box(document.as_bytes())));
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        eprintln!("{:>9.3} ms  {name}", cost.as_secs_f64() * 1e3);
        worst = worst.max((cost, name));
    }
    println!(
        "{{\"id\":\"twiml.parse_worst_ms\",\"value\":{:.3},\"unit\":\"ms\",\"better\":\"less\",\"peer\":null,\
         \"peer_value\":null,\"ratio\":null,\"how\":\"64 KiB documents of 15 hostile shapes, least of 30 runs each, \
         worst shape ({})\"}}",
        worst.0.as_secs_f64() * 1e3,
        worst.1
    );
}
