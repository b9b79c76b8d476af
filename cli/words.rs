//! Amounts for people.

/// A length of time, to the second, and beyond an hour to the minute.
pub fn span(ms: u64) -> String {
    let s = ms.div_ceil(1_000);
    match s {
        0..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min {} s", s / 60, s % 60),
        7_200..=172_799 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Both quantiles of a wait.
pub fn expected(p50_ms: u64, p90_ms: Option<u64>) -> String {
    match p90_ms {
        Some(p90) if p90 > p50_ms => {
            format!("in {}, nine times out of ten within {}", span(p50_ms), span(p90))
        }
        Some(_) => format!("in {}", span(p50_ms)),
        None => format!("in about {}", span(p50_ms)),
    }
}

/// With its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let mut text = digits[..first].to_owned();
    for three in digits.as_bytes()[first..].chunks(3) {
        text.push(',');
        text.extend(three.iter().map(|digit| char::from(*digit)));
    }
    text
}

/// Calls per second, as exact as matters.
pub fn rate(per_s: f64) -> String {
    if per_s > 0.0 && per_s < 0.001 {
        return format!("{per_s:.6}").trim_end_matches('0').to_owned();
    }
    if per_s > 0.0 && per_s < 0.1 {
        return format!("{per_s:.3}");
    }
    let tenths = format!("{per_s:.1}");
    match tenths.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if per_s < 100.0 => tenths,
        None => format!("{per_s:.0}"),
    }
}

/// `singular`, or the same with an s.
pub fn many(number: u64, singular: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {singular}{s}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        let spans = [0, 1, 119_000, 120_000, 7_199_000, 7_200_000, 200_000_000].map(span);
        assert_eq!(
            spans,
            ["0 s", "1 s", "119 s", "2 min 0 s", "119 min 59 s", "2 h 0 min", "2 d 7 h"]
        );
        let counts = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "12,345", "1,234,567"]);
        let rates = [0.0, 1.0 / 86_400.0, 0.000_1, 0.02, 1.5, 2.999_99, 98_039.2].map(rate);
        assert_eq!(rates, ["0", "0.000012", "0.0001", "0.020", "1.5", "3", "98039"]);
        assert_eq!([many(1, "call"), many(2_000, "call")], ["1 call", "2,000 calls"]);
        assert_eq!(expected(1_000, None), "in about 1 s");
        assert_eq!(expected(1_000, Some(3_000)), "in 1 s, nine times out of ten within 3 s");
    }
}
