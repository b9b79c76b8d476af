//! Writes responses.

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use super::{
    incoming::{InRequest, return_path},
    value,
};

/// Bytes on their way out; shared, since final responses are kept for retransmission.
pub(crate) type Datagram = Arc<[u8]>;

/// Everything that all responses to one request have in common.
#[derive(Clone, Debug)]
pub(crate) struct ReplyHead {
    /// From Via to CSeq.
    head: String,
    record_routes: Vec<String>,
    /// Where responses go.
    pub(crate) to: SocketAddr,
}

impl ReplyHead {
    /// `local_tag` is added to To where the request has none.
    pub(crate) fn new(request: &InRequest, source: SocketAddr, local_tag: &str) -> Self {
        let mut head = String::with_capacity(400);
        let mut to = source;
        for (ix, via) in request.vias.iter().enumerate() {
            if ix == 0 {
                let (via, address) = return_path(via, source);
                to = address;
                let _ = write!(head, "Via: {via}\r\n");
            } else {
                let _ = write!(head, "Via: {via}\r\n");
            }
        }
        let _ = write!(head, "From: {}\r\nTo: {}", request.from, request.to);
        if value::tag(&request.to).is_none() {
            let _ = write!(head, ";tag={local_tag}");
        }
        let _ = write!(
            head,
            "\r\nCall-ID: {}\r\nCSeq: {} {}\r\n",
            request.call_id, request.cseq, request.method
        );
        Self { head, record_routes: request.record_routes.clone(), to }
    }

    /// A response without a body; `headers` are complete lines.
    pub(crate) fn plain(&self, status: u16, headers: &str) -> Datagram {
        self.write(status, headers, None)
    }

    /// A response that carries SDP.
    pub(crate) fn with_sdp(&self, status: u16, headers: &str, sdp: &str) -> Datagram {
        self.write(status, headers, Some(sdp))
    }

    fn write(&self, status: u16, headers: &str, sdp: Option<&str>) -> Datagram {
        let mut text = format!("SIP/2.0 {status} {}\r\n{}", reason(status), self.head);
        // Only responses that make a dialog carry the route set (RFC 3261 12.1.1).
        if (101..300).contains(&status) {
            for route in &self.record_routes {
                let _ = write!(text, "Record-Route: {route}\r\n");
            }
        }
        text.push_str(headers);
        let body = sdp.unwrap_or_default();
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes().into()
    }
}

/// RFC 3261 21's phrases for what the carrier sends.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => match status / 100 {
            4 => "Request Failure",
            5 => "Server Failure",
            6 => "Global Failure",
            _ => "Unknown",
        },
    }
}
