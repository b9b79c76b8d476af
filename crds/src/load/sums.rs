//! What the fields of one document say of each other, and what a schema cannot: that URLs and networks can
//! be read, and that lengths of time lie within bounds.

use busyhour_base::Span;
use ipnet::IpNet;
use url::Url;

use super::{Kind, Loaded, Loader};
use crate::{
    Duration, LoadError, LoadErrors,
    kinds::{ApplicationSpec, CapSpec, CarrierSpec, TenantSpec, ThrottleSpec},
    schema::Path,
};

pub(super) const SPACING: (Span, Span) = (Span::from_millis(1), Span::from_secs(86_400));
const RINGING: (Span, Span) = (Span::from_secs(1), Span::from_secs(180));
pub(super) const WINDOW: (Span, Span) = (Span::from_secs(1), Span::from_secs(31 * 86_400));

impl Loader<'_> {
    /// Checks each document by itself.
    pub(super) fn check_sums(&mut self) {
        let mut errors = Vec::new();
        for carrier in self.carriers.values() {
            if errors.len() < LoadErrors::MAX {
                check_carrier(carrier, &mut errors);
            }
        }
        check_networks_apart(&self.carriers, &mut errors);
        for number in self.numbers.values() {
            if errors.len() < LoadErrors::MAX {
                let path = Path::of(&["spec", "ringFor"]);
                errors.extend(check_length(number, &path, number.spec.ring_for, RINGING));
            }
        }
        for tenant in self.tenants.values() {
            if errors.len() < LoadErrors::MAX {
                check_tenant(tenant, &mut errors);
            }
        }
        for application in self.applications.values() {
            if errors.len() < LoadErrors::MAX {
                check_application(application, &mut errors);
            }
        }
        for number in self.numbers.values() {
            if errors.len() < LoadErrors::MAX {
                check_pace(number, number.spec.throttle.as_ref(), &number.spec.caps, &mut errors);
            }
        }
        for pool in self.pools.values() {
            let path = Path::of(&["spec", "halfLife"]);
            errors.extend(check_length(pool, &path, pool.spec.half_life, WINDOW));
        }
        self.errors.extend(errors);
    }
}

fn check_application(application: &Loaded<'_, ApplicationSpec>, errors: &mut Vec<LoadError>) {
    let spec = &application.spec;
    check_pace(application, spec.throttle.as_ref(), &spec.caps, errors);
    let callback = spec.status_callback.as_ref().map(|callback| &callback.url);
    let urls = [
        (&["spec", "voice", "url"][..], Some(&spec.voice.url)),
        (&["spec", "voice", "fallbackUrl"][..], spec.voice.fallback_url.as_ref()),
        (&["spec", "statusCallback", "url"][..], callback),
    ];
    for (keys, url) in urls.into_iter().filter_map(|(keys, url)| Some((keys, url?))) {
        if let Err(e) = Url::parse(url) {
            let allowed = Some("an absolute http or https URL".to_owned());
            errors.push(application.error(keys, format!("{url:?} is not a URL: {e}"), allowed));
        }
    }
}

fn check_carrier(carrier: &Loaded<'_, CarrierSpec>, errors: &mut Vec<LoadError>) {
    let spec = &carrier.spec;
    if let Some(ports) = spec.service_ports.filter(|ports| *ports > spec.channels) {
        let problem = format!("{ports} service ports are more than the channels");
        let allowed = Some(format!("1 to {}", spec.channels));
        errors.push(carrier.error(&["spec", "servicePorts"], problem, allowed));
    }
    let has_password = spec.password.is_some() || spec.password_file.is_some();
    if spec.username.is_some() != has_password {
        let (problem, allowed) = ("a user and a password go together", "both or neither");
        errors.push(carrier.error(&["spec", "username"], problem, Some(allowed.to_owned())));
    }
    if spec.inbound.as_ref().is_some_and(|inbound| inbound.authenticate) && !has_password {
        let (problem, allowed) = ("there is nothing to authenticate with", "username and password");
        let keys = ["spec", "inbound", "authenticate"];
        errors.push(carrier.error(&keys, problem, Some(allowed.to_owned())));
    }
    let (_, port) = spec.address.rsplit_once(':').unwrap_or_default();
    if port.parse::<u16>().is_err() {
        let (problem, allowed) = (format!("port {port} does not exist"), "1 to 65535".to_owned());
        errors.push(carrier.error(&["spec", "address"], problem, Some(allowed)));
    }
}

/// A call's source must tell its carrier.
fn check_networks_apart(carriers: &Kind<'_, CarrierSpec>, errors: &mut Vec<LoadError>) {
    let mut seen: Vec<(&str, IpNet)> = Vec::new();
    for (name, carrier) in carriers {
        let networks = carrier.spec.inbound.iter().flat_map(|inbound| &inbound.networks);
        for network in networks {
            let meets = |other: &IpNet| other.contains(network) || network.contains(other);
            if let Some((first, other)) = seen.iter().find(|(_, other)| meets(other))
                && first != name
                && errors.len() < LoadErrors::MAX
            {
                let problem = format!("{network} overlaps {other} of carrier {first:?}");
                let allowed = Some("networks of one carrier only".to_owned());
                errors.push(carrier.error(&["spec", "inbound", "networks"], problem, allowed));
            }
            seen.push((name, *network));
        }
    }
}

fn check_tenant(tenant: &Loaded<'_, TenantSpec>, errors: &mut Vec<LoadError>) {
    let spec = &tenant.spec;
    check_pace(tenant, spec.throttle.as_ref(), &spec.caps, errors);
    let path = Path::of(&["spec", "queue", "maxWait"]);
    errors.extend(check_length(tenant, &path, spec.queue.max_wait, WINDOW));
}

fn check_pace<T>(
    of: &Loaded<'_, T>,
    throttle: Option<&ThrottleSpec>,
    caps: &[CapSpec],
    errors: &mut Vec<LoadError>,
) {
    let path = Path::of(&["spec", "throttle"]);
    match throttle {
        None | Some(ThrottleSpec { calls_per_second: Some(_), spacing: None }) => {}
        Some(ThrottleSpec { calls_per_second: None, spacing: Some(spacing) }) => {
            errors.extend(check_length(of, &path.key("spacing"), *spacing, SPACING));
        }
        Some(_) => {
            let (problem, allowed) =
                ("one throttle is wanted", "callsPerSecond or spacing".to_owned());
            errors.push(of.document.error(&path, problem, Some(allowed)));
        }
    }
    for (index, cap) in caps.iter().enumerate() {
        let path = Path::of(&["spec", "caps"]).index(index).key("per");
        errors.extend(check_length(of, &path, cap.per, WINDOW));
    }
}

pub(super) fn check_length<T>(
    loaded: &Loaded<'_, T>,
    path: &Path,
    length: Duration,
    (min, max): (Span, Span),
) -> Option<LoadError> {
    let wrong = length.0 < min || length.0 > max;
    wrong.then(|| {
        let allowed = format!("{} to {}", Duration(min), Duration(max));
        loaded.document.error(path, format!("{length} is out of bounds"), Some(allowed))
    })
}
