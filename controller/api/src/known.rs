//! Which parameters the requests of one kind have.

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// The parameters of `calls.create`, or of `messages.create`.
pub(crate) struct Known {
    /// Those that have an effect. A line of a batch may hold them.
    pub(crate) names: &'static [&'static str],
    /// What this version cannot do, and the values that ask for nothing.
    pub(crate) unsupported: &'static [(&'static str, &'static [&'static str])],
}

impl Known {
    /// The name of a parameter that has an effect or is refused.
    pub(crate) fn name(&self, name: &str) -> Option<&'static str> {
        let refused = self.unsupported.iter().map(|(name, _)| name);
        self.names.iter().chain(refused).copied().find(|known| *known == name)
    }

    /// Refuses what this version cannot do.
    pub(crate) fn refuse_unsupported(&self, params: &Params<'_>) -> Result<(), ApiError> {
        for (name, harmless) in self.unsupported {
            let asked = params.all(name).find(|value| !harmless.contains(value));
            if let Some(value) = asked {
                // The value may be a password.
                let secret = name.starts_with("SipAuth") || *name == "CallToken";
                let value = if secret { "***" } else { value };
                let allowed = match harmless.first() {
                    Some(harmless) => {
                        format!("this version does not do this; leave it out or send {harmless}")
                    }
                    None => "this version does not do this; leave it out".to_owned(),
                };
                return Err(ApiError::parameter(Code::InvalidParameter, name, value, &allowed));
            }
        }
        Ok(())
    }
}
