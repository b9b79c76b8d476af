//! Batches: whose, to whom, and what goes with which kind.

use busyhour_base::{Body, Span, pacing};
use busyhour_crds::{DeclaredTenant, Duration, kinds::ApplicationSpec, schema::Path};

use super::{
    super::{Batch, BatchDocument, BatchKind, BatchLines, Calls, PacingDocument, Texts},
    Checks, names,
};

/// The field's default (`calls.create`, Timeout).
const RING_TIMEOUT: Duration = Duration(Span::from_secs(60));
/// The field's default (`calls.create`, TimeLimit).
const TIME_LIMIT: Duration = Duration(Span::from_secs(14_400));
/// Longest validity (`WIRE.md`, ValidityPeriod).
const VALIDITY_MAX: Span = Span::from_secs(36_000);

impl<'a> Checks<'a> {
    pub(super) fn batch(&mut self, index: usize, batch: &BatchDocument) -> Option<Batch> {
        let path = Path::of(&["spec", "batches"]).index(index);
        let calls = batch.kind == BatchKind::Calls;
        // Each field of one kind: (name, there, wanted, possible).
        let fields = [
            ("calls", batch.calls.is_some(), calls, calls),
            ("application", batch.application.is_some(), calls, calls),
            ("ringTimeout", batch.ring_timeout.is_some(), false, calls),
            ("timeLimit", batch.time_limit.is_some(), false, calls),
            ("messages", batch.messages.is_some(), !calls, !calls),
            ("body", batch.body.is_some(), !calls, !calls),
            ("validity", batch.validity.is_some(), false, !calls),
        ];
        let (kind, count, unit) = match batch.kind {
            BatchKind::Calls => ("a batch of calls", batch.calls, "calls"),
            BatchKind::Messages => ("a batch of messages", batch.messages, "messages"),
        };
        self.fields(&path, kind, fields)?;
        let tenant = self.owner(&path, &batch.tenant, &batch.from)?;
        let lines = match batch.kind {
            BatchKind::Calls => BatchLines::Calls(self.calls(&path, batch)?),
            BatchKind::Messages => BatchLines::Texts(self.texts(&path, batch)?),
        };
        let pacing = self.pacing(&path.key("pacing"), batch.pacing.unwrap_or_default())?;
        let count = count?;
        let numbers = (batch.first_to.as_str(), count, unit);
        let first_to = self.consecutive(&path, tenant, &batch.tenant, numbers)?;
        let DeclaredTenant { spec, .. } = tenant;
        Some(Batch {
            name: batch.name.clone(),
            tenant: batch.tenant.clone(),
            account: spec.account,
            from: batch.from.clone(),
            first_to,
            count,
            pacing,
            lines,
        })
    }

    fn pacing(&mut self, path: &Path, pacing: PacingDocument) -> Option<PacingDocument> {
        match pacing.cps {
            Some(cps) if pacing::spacing(cps).is_none() => {
                let problem = format!("{cps} is out of bounds");
                self.refuse(&path.key("cps"), problem, pacing::CPS_ALLOWED)
            }
            _ => Some(pacing),
        }
    }

    fn calls(&mut self, path: &Path, batch: &BatchDocument) -> Option<Calls> {
        let (declared, tenant, name) = (self.declared, &batch.tenant, batch.application.as_ref()?);
        let belongs = |spec: &&ApplicationSpec| spec.tenant == *tenant;
        let Some(application) = declared.applications.get(name).filter(belongs) else {
            let problem = format!("tenant {tenant:?} has no application {name:?}");
            let theirs = declared.applications.iter().filter(|(_, spec)| belongs(spec));
            return self.refuse(&path.key("application"), problem, names(theirs.map(|(n, _)| n)));
        };
        let (ring, limit) = (batch.ring_timeout, batch.time_limit);
        let second = Span::from_secs(1);
        Some(Calls {
            first_document: application.first_document(),
            fallback: application.fallback(),
            ring_timeout: self.length(
                &path.key("ringTimeout"),
                ring.unwrap_or(RING_TIMEOUT),
                second,
            )?,
            time_limit: self.length(&path.key("timeLimit"), limit.unwrap_or(TIME_LIMIT), second)?,
        })
    }

    fn texts(&mut self, path: &Path, batch: &BatchDocument) -> Option<Texts> {
        let (min, max) = (Span::from_secs(1), VALIDITY_MAX);
        let validity = match batch.validity {
            Some(length) => Some(self.within(&path.key("validity"), length, min..=max)?),
            None => None,
        };
        Some(Texts { body: Body::from(batch.body.as_deref()?), validity })
    }
}
