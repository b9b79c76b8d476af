//! What the parts of documents that concern messages say of each other, and what a schema cannot.

use super::{
    Loaded, Loader,
    sums::{SPACING, WINDOW, check_length},
};
use crate::{
    LoadError, LoadErrors,
    kinds::{CarrierSpec, SegmentCap, SegmentThrottle, TenantSpec},
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
    let path = Path::of(&["spec", "messages", "queue", "maxWait"]);
    errors.extend(check_length(tenant, &path, messages.queue.max_wait, WINDOW));
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
