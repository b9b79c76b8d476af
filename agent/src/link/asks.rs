//! Questions to tenants' applications about messages that came in. What they answer goes to the controller, which asks again
//! what it hears nothing of; so nothing is kept here.

use std::{sync::Arc, time::Duration};

use busyhour_agent_core::{
    texting::{Conversation, Next, Said},
    webhook::sign::Key,
};
use busyhour_base::Reason;
use busyhour_protocol::{AskOrder, Replies, Reply, v1, v1::answered::Outcome};

use super::errands::Errands;
use crate::{metric_definitions as metric, node::Node};

/// Questions under way at once. Beyond it one comes back as busy, and the controller asks it again.
const RUNNING_MAX: usize = 1_024;
/// How long a conversation may take, with all of its documents.
const PATIENCE: Duration = Duration::from_secs(60);

/// Questions under way, and the answers to those that are over.
pub type Asks = Errands<v1::Answered, RUNNING_MAX>;

/// Asks an application, beside everything else.
pub fn ask(node: &Arc<Node>, order: v1::Ask) {
    let (message, step) = (order.message, order.step);
    let answered = move |outcome| v1::Answered { message, step, outcome: Some(outcome) };
    let order = match AskOrder::try_from(order) {
        Ok(order) => order,
        Err(error) => {
            // Asked again it would be refused again.
            tracing::error!(message, step, %error, "question to an application refused");
            return node.asks.end(answered(Outcome::Replies(failed().into())), false);
        }
    };
    if !node.asks.begin() {
        return node.asks.end(answered(Outcome::Busy(v1::Empty {})), false);
    }
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let said = converse(&node, order).await;
        node.asks.end(answered(Outcome::Replies(said.into())), true);
    });
}

fn failed() -> Replies {
    Replies { failure: Some(Reason::DocumentFailed), ..Replies::default() }
}

async fn converse(node: &Node, order: AskOrder) -> Replies {
    let until = tokio::time::Instant::now() + PATIENCE;
    let key = Key::new(order.auth_token.expose().to_owned());
    let (mut conversation, mut next) =
        Conversation::begin(&order.hook, order.fallback, order.parameters);
    loop {
        for warning in conversation.warnings() {
            metric::warning(warning.code);
            let (code, message) = (warning.code, warning.message);
            tracing::warn!(code, message, "warning about the tenant's document");
        }
        let request = match next {
            Next::Ask(request) => request,
            Next::Over(said) => return replies(said),
        };
        let asked = node.http.document(&request, &key);
        next = match tokio::time::timeout_at(until, asked).await {
            Ok(result) => conversation.heard(result),
            Err(_) => return replies(conversation.cut_off()),
        };
    }
}

fn replies(said: Said) -> Replies {
    let reply = |message: busyhour_agent_core::twiml::Message| Reply {
        to: message.to,
        from: message.from,
        body: message.body,
        status_callback: message.status_callback,
    };
    Replies {
        replies: said.replies.into_iter().map(reply).collect(),
        again: said.again,
        failure: said.failed.then_some(Reason::DocumentFailed),
    }
}
