//! What the parts of documents that concern messages say of each other, and what a schema cannot.

use super::{
    Loaded, Loader,
    sums::{SPACING, WINDOW, check_length},
};
use busyhour_base::Keyword;

use crate::{
    LoadError, LoadErrors,
    kinds::{
        CarrierSpec, KeywordAnswerer, KeywordAnswers, SegmentCap, SegmentThrottle, TenantSpec,
    },
    schema::Path,
};

impl Loader<'_> {
    pub(super) fn check_messages(&mut self) {
        let mut errors = Vec::new();
        self.carriers.values().for_each(|carrier| check_carrier(carrier, &mut errors));
        self.tenants.values().for_each(|tenant| check_tenant(tenant, &mut errors));
        for number in self.numbers.values() {
            if let Some(messages) = &number.spec.messages {
                check_throttle(number, &messages.throttle, &mut errors);
                check_caps(number, &messages.caps, &mut errors);
            }
        }
        let room = LoadErrors::MAX.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }
}

fn check_carrier(carrier: &Loaded<'_, CarrierSpec>, errors: &mut Vec<LoadError>) {
    let Some(messages) = &carrier.spec.messages else { return };
    let behaviour = &messages.in_process;
    let sum = u32::from(behaviour.refused_permille)
        + u32::from(behaviour.undelivered_permille)
        + u32::from(behaviour.unanswered_permille);
    if sum > 1_000 {
        let problem = format!("the parts of a thousand messages add up to {sum}");
        let allowed = Some("at most 1000 in all".to_owned());
        errors.push(carrier.error(&["spec", "messages", "inProcess"], problem, allowed));
    }
}

fn check_tenant(tenant: &Loaded<'_, TenantSpec>, errors: &mut Vec<LoadError>) {
    let Some(messages) = &tenant.spec.messages else { return };
    if let Some(throttle) = &messages.throttle {
        check_throttle(tenant, throttle, errors);
    }
    check_caps(tenant, &messages.caps, errors);
    check_keywords(tenant, &messages.keywords, errors);
    let path = Path::of(&["spec", "messages", "queue", "maxWait"]);
    errors.extend(check_length(tenant, &path, messages.queue.max_wait, WINDOW));
}

/// What is answered must say something, and must not be obeyed by a platform at the other end.
fn check_keywords(
    tenant: &Loaded<'_, TenantSpec>,
    keywords: &KeywordAnswers,
    errors: &mut Vec<LoadError>,
) {
    let texts = [("stop", &keywords.stop), ("start", &keywords.start), ("help", &keywords.help)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        let (problem, allowed) = if keywords.answered_by == KeywordAnswerer::Application {
            ("the platform does not answer", "no text with answeredBy: application")
        } else if text.trim().is_empty() {
            ("it says nothing", "a text of 1 to 320 characters")
        } else if Keyword::of(text).is_some() {
            ("it is a keyword itself", "a text that is more than STOP, START or HELP")
        } else {
            continue;
        };
        let path = Path::of(&["spec", "messages", "keywords", name]);
        errors.push(tenant.document.error(&path, problem, Some(allowed.to_owned())));
    }
}

fn check_caps<T>(loaded: &Loaded<'_, T>, caps: &[SegmentCap], errors: &mut Vec<LoadError>) {
    for (index, cap) in caps.iter().enumerate() {
        let path = Path::of(&["spec", "messages", "caps"]).index(index).key("per");
        errors.extend(check_length(loaded, &path, cap.per, WINDOW));
    }
}

fn check_throttle<T>(
    loaded: &Loaded<'_, T>,
    throttle: &SegmentThrottle,
    errors: &mut Vec<LoadError>,
) {
    let path = Path::of(&["spec", "messages", "throttle"]);
    match throttle {
        SegmentThrottle { segments_per_second: Some(_), spacing: None } => {}
        SegmentThrottle { segments_per_second: None, spacing: Some(spacing) } => {
            errors.extend(check_length(loaded, &path.key("spacing"), *spacing, SPACING));
        }
        _ => {
            let allowed = Some("segmentsPerSecond or spacing".to_owned());
            errors.push(loaded.document.error(&path, "one throttle is wanted", allowed));
        }
    }
}
