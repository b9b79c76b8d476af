//! Webhooks that the controller asks to be told once each. What becomes of one goes back to the controller, which repeats
//! those that were not accepted; so nothing is kept here, and an answer that is lost with the connection costs one
//! repetition.

use std::sync::Arc;

use busyhour_agent_core::{leg::Request, webhook::sign::Key};
use busyhour_protocol::{FieldError, v1};

use super::errands::Errands;
use crate::{metric_definitions as metric, node::Node};

/// Tells under way at once. Beyond it one is answered as not accepted, and comes again.
const RUNNING_MAX: usize = 256;
/// Bodies of answers are read to this size and thrown away.
const ANSWER_MAX: usize = 64 << 10;

/// Tells under way, and what became of those that are over.
pub type Tells = Errands<v1::Told, RUNNING_MAX>;

/// Tells a webhook, beside everything else.
pub fn tell(node: &Arc<Node>, order: v1::Tell) -> Result<(), FieldError> {
    let id = order.id;
    let account = order.account.ok_or_else(|| FieldError::missing("tell.account", "an account"))?;
    let hook = order.hook.ok_or_else(|| FieldError::missing("tell.hook", "a webhook"))?;
    let hook = busyhour_base::Webhook::try_from(hook)?;
    let params = order.parameters.into_iter().map(|parameter| (parameter.name, parameter.value));
    let request = Request { url: hook.url, method: hook.method, params: params.collect() };
    if !node.tells.begin() {
        node.tells.end(v1::Told { id, accepted: false }, false);
        return Ok(());
    }
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let asked = node.http.ask(&request, &Key::new(account.auth_token), ANSWER_MAX).await;
        if let Err(error) = &asked {
            tracing::info!(%error, "a webhook was not accepted");
        }
        metric::callback(if asked.is_ok() { "accepted" } else { "repeated" });
        node.tells.end(v1::Told { id, accepted: asked.is_ok() }, true);
    });
    Ok(())
}
