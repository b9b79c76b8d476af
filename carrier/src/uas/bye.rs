//! Our own BYE: the one request that the carrier sends (RFC 3261 15.1.1, 17.1.2).

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use busyhour_base::Timestamp;

use super::timer::Backoff;
use crate::sip::{
    incoming::{InRequest, socket_of},
    reply::Datagram,
    value,
};

/// What is needed to send a request inside the dialog.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Request-URI.
    target: String,
    /// `Route` lines, as a UAS keeps its route set (RFC 3261 12.1.1).
    routes: Vec<String>,
    pub(crate) to: SocketAddr,
    /// From, To and Call-ID lines of our requests.
    dialog: String,
}

impl Route {
    /// From the INVITE that made the dialog; `source` is where it came from.
    pub(crate) fn new(invite: &InRequest, source: SocketAddr, local_tag: &str) -> Self {
        let contact = invite.contact.as_deref().map(|contact| {
            let (first, _) = value::first_of_list(contact);
            value::address(first).0.to_owned()
        });
        let first_hop = match invite.record_routes.first() {
            Some(route) => socket_of(value::address(value::first_of_list(route).0).0),
            None => contact.as_deref().and_then(socket_of),
        };
        let mut dialog = format!("From: {}", invite.to);
        if value::tag(&invite.to).is_none() {
            let _ = write!(dialog, ";tag={local_tag}");
        }
        let _ = write!(dialog, "\r\nTo: {}\r\nCall-ID: {}\r\n", invite.from, invite.call_id);
        Self {
            target: contact.unwrap_or_else(|| format!("sip:{source}")),
            routes: invite.record_routes.clone(),
            to: first_hop.unwrap_or(source),
            dialog,
        }
    }

    /// A BYE with this branch.
    pub(crate) fn bye(&self, local: SocketAddr, branch: &str, reason: &str) -> Datagram {
        let mut text = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch={branch}\r\nMax-Forwards: 70\r\n",
            self.target
        );
        for route in &self.routes {
            let _ = write!(text, "Route: {route}\r\n");
        }
        let _ = write!(text, "{}CSeq: 1 BYE\r\n{reason}Content-Length: 0\r\n\r\n", self.dialog);
        Arc::from(text.into_bytes())
    }
}

/// A BYE on its way, until any final response.
#[derive(Debug)]
pub(crate) struct ByeTransaction {
    pub(crate) branch: String,
    datagram: Datagram,
    to: SocketAddr,
    resend: Backoff,
}

impl ByeTransaction {
    pub(crate) fn new(now: Timestamp, branch: String, datagram: Datagram, to: SocketAddr) -> Self {
        Self { branch, datagram, to, resend: Backoff::start(now) }
    }

    pub(crate) fn wake(&self) -> Timestamp {
        self.resend.wake()
    }

    /// When due: the datagram to send again, or `Err` when it is given up.
    pub(crate) fn tick(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<(SocketAddr, Datagram)>, GivenUp> {
        if now < self.wake() {
            return Ok(None);
        }
        if self.resend.again(now) {
            return Ok(Some((self.to, self.datagram.clone())));
        }
        Err(GivenUp)
    }
}

/// Nobody answered the BYE for 64 T1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GivenUp;
