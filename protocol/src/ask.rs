//! Questions about messages that came in, and what applications answer.

use busyhour_base::{Body, Reason, Webhook, is_e164};

use crate::{FieldError, Secret, attempt, reason, v1};

/// Most messages that an application may answer with at once.
pub const REPLIES_MAX: usize = 10;

/// Ask a tenant's application about one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskOrder {
    /// The message's number.
    pub message: u64,
    /// Which asking about it, from 1.
    pub step: u16,
    /// Signs the tenant's webhooks.
    pub auth_token: Secret,
    /// First document.
    pub hook: Webhook,
    /// Asked when a document fails.
    pub fallback: Option<Webhook>,
    /// What every request carries.
    pub parameters: Vec<(String, String)>,
}

/// What an application answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replies {
    /// In order, at most [`REPLIES_MAX`].
    pub replies: Vec<Reply>,
    /// Where it wants to be asked about what became of the last one.
    pub again: Option<Webhook>,
    /// Why it could not be asked to the end.
    pub failure: Option<Reason>,
}

/// A message that an application answers with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// In E.164; `None` is who wrote.
    pub to: Option<String>,
    /// In E.164; `None` is the number that was written to.
    pub from: Option<String>,
    /// 1 to [`Body::CHARS_MAX`] characters.
    pub body: Body,
    /// Told of its progress.
    pub status_callback: Option<Webhook>,
}

impl TryFrom<v1::Ask> for AskOrder {
    type Error = FieldError;

    fn try_from(ask: v1::Ask) -> Result<Self, FieldError> {
        let account = ask.account.ok_or_else(|| FieldError::missing("account", "an account"))?;
        let hook = ask.hook.ok_or_else(|| FieldError::missing("hook", "a webhook"))?;
        let parameters = ask.parameters.into_iter();
        Ok(Self {
            message: ask.message,
            step: attempt("step", ask.step)?,
            auth_token: Secret::new(account.auth_token),
            hook: hook.try_into().map_err(|e: FieldError| e.within("hook"))?,
            fallback: webhook("fallback", ask.fallback)?,
            parameters: parameters.map(|of| (of.name, of.value)).collect(),
        })
    }
}

impl From<Replies> for v1::Replies {
    fn from(said: Replies) -> Self {
        let reply = |reply: Reply| v1::Reply {
            to: reply.to.unwrap_or_default(),
            from: reply.from.unwrap_or_default(),
            body: reply.body.text().to_owned(),
            status_callback: reply.status_callback.as_ref().map(Into::into),
        };
        Self {
            replies: said.replies.into_iter().map(reply).collect(),
            again: said.again.as_ref().map(Into::into),
            failure: said.failure.map(|reason| reason.code().to_owned()).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Replies> for Replies {
    type Error = FieldError;

    fn try_from(said: v1::Replies) -> Result<Self, FieldError> {
        let count = said.replies.len();
        if count > REPLIES_MAX {
            return Err(FieldError::new("replies", count, "a list of at most 10 replies"));
        }
        let failure = Some(said.failure).filter(|code| !code.is_empty());
        let replies = said.replies.into_iter().enumerate();
        Ok(Self {
            replies: replies
                .map(|(n, reply)| {
                    Reply::try_from(reply).map_err(|e| e.within(&format!("replies[{n}]")))
                })
                .collect::<Result<_, _>>()?,
            again: webhook("again", said.again)?,
            failure: failure.map(|code| reason("failure", &code)).transpose()?,
        })
    }
}

impl TryFrom<v1::Reply> for Reply {
    type Error = FieldError;

    fn try_from(reply: v1::Reply) -> Result<Self, FieldError> {
        let number = |field, text: String| match text {
            text if text.is_empty() => Ok(None),
            text if is_e164(&text) => Ok(Some(text)),
            text => Err(FieldError::new(field, text, "a number in E.164")),
        };
        // The text is personal: its length is all that is told of it.
        let characters = reply.body.chars().count();
        if !(1..=Body::CHARS_MAX).contains(&characters) {
            return Err(FieldError::new("body", characters, "1 to 1600 characters"));
        }
        Ok(Self {
            to: number("to", reply.to)?,
            from: number("from", reply.from)?,
            body: Body::from(reply.body),
            status_callback: webhook("status_callback", reply.status_callback)?,
        })
    }
}

fn webhook(field: &str, hook: Option<v1::Webhook>) -> Result<Option<Webhook>, FieldError> {
    hook.map(|hook| Webhook::try_from(hook).map_err(|e| e.within(field))).transpose()
}

#[cfg(test)]
mod tests {
    use busyhour_base::Method;

    use super::*;

    fn hook(url: &str) -> Webhook {
        Webhook { url: url.to_owned(), method: Method::Get }
    }

    fn reply(to: Option<&str>) -> Reply {
        Reply {
            to: to.map(str::to_owned),
            from: None,
            body: Body::from("meet me at noon"),
            status_callback: Some(hook("http://a/told")),
        }
    }

    #[test]
    fn there_and_back() {
        let said = Replies {
            replies: vec![reply(None), reply(Some("+14155550123"))],
            again: Some(hook("http://a/again")),
            failure: Some(Reason::DocumentFailed),
        };
        assert_eq!(Replies::try_from(v1::Replies::from(said.clone())), Ok(said));
        assert_eq!(Replies::try_from(v1::Replies::default()), Ok(Replies::default()));
    }

    #[test]
    fn a_refusal_names_the_field_and_shows_no_text() {
        let good = v1::Replies::from(Replies { replies: vec![reply(None)], ..Replies::default() });
        let with = |change: fn(&mut v1::Reply)| {
            let mut said = good.clone();
            change(&mut said.replies[0]);
            Replies::try_from(said).unwrap_err().to_string()
        };
        assert_eq!(
            with(|reply| reply.to = "me".into()),
            r#"replies[0].to: "me" is not a number in E.164"#
        );
        assert_eq!(
            with(|reply| reply.body = "secret".repeat(500)),
            r#"replies[0].body: "3000" is not 1 to 1600 characters"#
        );
        let many = v1::Replies { replies: vec![good.replies[0].clone(); 11], ..good.clone() };
        assert_eq!(Replies::try_from(many).unwrap_err().field, "replies");
        let why = v1::Replies { failure: "so".to_owned(), ..good.clone() };
        assert_eq!(Replies::try_from(why).unwrap_err().field, "failure");
        assert!(!format!("{good:?}").contains("noon"));
    }
}
