//! Builds requests, and reads out of responses what a dialog needs (RFC 3261, 8.1.1, 12.1.2 and 12.2.1.1).

use std::{net::SocketAddr, time::Duration};

use rsipstack::sip::{
    Header, Headers, Host, Method, Request, Response, SipMessage, Uri, Version,
    prelude::{HasHeaders, HeadersExt, ToTypedHeader},
    typed,
};

use super::StoredDialog;

/// Methods that a dialog of ours answers with more than 405.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO";
/// `User-Agent` and `Server`.
pub const AGENT: &str = concat!("Busyhour/", env!("CARGO_PKG_VERSION"));

/// Names the far end's response that the stack made up because none came. Stripped from what arrives.
const LOCAL_MARK: &str = "X-Busyhour-Local";

/// Marks a response as made up by the transaction layer.
pub fn mark_local(headers: &mut Headers) {
    headers.push(Header::Other(LOCAL_MARK.into(), "1".into()));
}

/// Where a request came from, which its own lines need not tell. Stripped from what arrives.
const SOURCE_MARK: &str = "X-Busyhour-Source";

/// Notes where a request came from.
pub fn mark_source(headers: &mut Headers, source: SocketAddr) {
    headers.push(Header::Other(SOURCE_MARK.into(), source.to_string()));
}

/// Where a request came from.
pub fn source(request: &Request) -> Option<SocketAddr> {
    request.headers.iter().find_map(|h| match h {
        Header::Other(name, value) if name == SOURCE_MARK => value.parse().ok(),
        _ => None,
    })
}

/// Removes our marks from a message of the network, which may not claim them.
pub fn unmark(headers: &mut Headers) {
    let ours = |name: &str| {
        [LOCAL_MARK, SOURCE_MARK].into_iter().any(|mark| name.eq_ignore_ascii_case(mark))
    };
    headers.retain(|h| !matches!(h, Header::Other(name, _) if ours(name)));
}

/// The stack made this response up: nothing came from the far end.
pub fn is_local(response: &Response) -> bool {
    response.headers.iter().any(|h| matches!(h, Header::Other(name, _) if name == LOCAL_MARK))
}

/// 64 random bits as 16 hex digits: tags, branches, client nonces.
pub fn random_token() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// What a request needs beside its method.
pub struct Draft<'a> {
    /// Request-URI.
    pub target: Uri,
    /// `From` with tag.
    pub from: &'a str,
    /// `To`, with tag inside a dialog.
    pub to: &'a str,
    /// `Call-ID`.
    pub call_id: &'a str,
    /// `CSeq` number.
    pub cseq: u32,
    /// `Route` values in order.
    pub routes: &'a [String],
    /// Our address, for `Via` and `Contact`.
    pub local: SocketAddr,
}

impl Draft<'_> {
    /// A request of `method` on a new branch, without a body.
    pub fn request(self, method: Method) -> Request {
        self.request_on_branch(method, &format!("z9hG4bK{}", random_token()))
    }

    fn request_on_branch(self, method: Method, branch: &str) -> Request {
        let mut headers = Vec::with_capacity(16);
        headers
            .push(Header::Via(format!("SIP/2.0/UDP {};rport;branch={branch}", self.local).into()));
        headers.extend(self.routes.iter().map(|r| Header::Route(r.clone().into())));
        headers.push(Header::MaxForwards("70".into()));
        headers.push(Header::From(self.from.into()));
        headers.push(Header::To(self.to.into()));
        headers.push(Header::CallId(self.call_id.into()));
        headers.push(Header::CSeq(format!("{} {method}", self.cseq).into()));
        headers.push(Header::UserAgent(AGENT.into()));
        if matches!(method, Method::Invite | Method::Update) {
            headers.push(Header::Contact(format!("<sip:busyhour@{}>", self.local).into()));
            headers.push(Header::Allow(ALLOW.into()));
            headers.push(Header::Supported("timer".into()));
        }
        Request {
            method,
            uri: self.target,
            version: Version::V2,
            headers: headers.into(),
            body: Vec::new(),
        }
    }
}

/// Adds a session interval (RFC 4028) that we offer to refresh.
pub fn add_session(request: &mut Request, interval: Duration, min: Duration) {
    let seconds = interval.max(min).as_secs();
    request.headers.push(Header::SessionExpires(format!("{seconds};refresher=uac").into()));
    request.headers.push(Header::MinSE(min.as_secs().to_string().into()));
}

/// Adds an SDP body.
pub fn add_sdp(headers: &mut Headers, body: &mut Vec<u8>, sdp: Vec<u8>) {
    headers.push(Header::ContentType("application/sdp".into()));
    *body = sdp;
}

/// The CANCEL of an INVITE: same branch, same numbers, same route (RFC 3261, 9.1).
pub fn cancel_of(invite: &Request) -> Request {
    let mut headers: Vec<Header> = invite
        .headers
        .iter()
        .filter(|h| {
            matches!(
                h,
                Header::Via(_)
                    | Header::Route(_)
                    | Header::MaxForwards(_)
                    | Header::From(_)
                    | Header::To(_)
                    | Header::CallId(_)
                    | Header::UserAgent(_)
            )
        })
        .cloned()
        .collect();
    let number = invite.cseq_header().and_then(|c| c.seq()).unwrap_or(1);
    headers.push(Header::CSeq(format!("{number} CANCEL").into()));
    Request {
        method: Method::Cancel,
        uri: invite.uri.clone(),
        version: Version::V2,
        headers: headers.into(),
        body: Vec::new(),
    }
}

/// The tag of `To`, the far end's part of a dialog's name in a response.
pub fn to_tag(message: &impl HeadersExt) -> Option<String> {
    let tag = message.to_header().ok()?.tag().ok()??;
    Some(tag.value().to_owned())
}

/// The dialog that a 2xx establishes (RFC 3261, 12.1.2).
pub fn established(invite: &Request, response: &Response, destination: SocketAddr) -> StoredDialog {
    let mut routes = record_routes(response);
    routes.reverse();
    let text = |value: Result<&str, rsipstack::sip::Error>| value.unwrap_or_default().to_owned();
    StoredDialog {
        call_id: text(invite.call_id_header().map(|h| h.value())),
        local: text(invite.from_header().map(|h| h.value())),
        remote: text(response.to_header().map(|h| h.value())),
        target: contact(response).unwrap_or_else(|| invite.uri.clone()).to_string(),
        routes,
        cseq: invite.cseq_header().and_then(|c| c.seq()).unwrap_or(1),
        destination,
    }
}

/// The dialog that our 2xx establishes; `local` is `To` with our tag (RFC 3261, 12.1.1).
pub fn accepted(invite: &Request, local: String, source: SocketAddr) -> Option<StoredDialog> {
    Some(StoredDialog {
        call_id: invite.call_id_header().ok()?.value().to_owned(),
        local,
        remote: invite.from_header().ok()?.value().to_owned(),
        target: contact(invite)?.to_string(),
        routes: record_routes(invite),
        cseq: 0,
        destination: source,
    })
}

/// The values of `Record-Route`, in the order in which they stand.
fn record_routes(message: &impl HasHeaders) -> Vec<String> {
    let values = message.headers().iter().filter_map(|h| match h {
        Header::RecordRoute(value) => Some(value.value()),
        _ => None,
    });
    values
        .flat_map(|value| typed::RecordRoute::parse_header_list(value).unwrap_or_default())
        .map(|route| format!("<{}>", route.uri))
        .collect()
}

/// The far end's `Contact` address, if it is one that a request can be sent to.
pub fn contact(message: &impl HasContact) -> Option<Uri> {
    let uri = message.contact_uri()?;
    let host = uri.host_with_port.host.to_string();
    (!host.is_empty()).then_some(uri)
}

/// Requests and responses that carry a `Contact`.
pub trait HasContact {
    /// Its address.
    fn contact_uri(&self) -> Option<Uri>;
}

impl<T: HeadersExt> HasContact for T {
    fn contact_uri(&self) -> Option<Uri> {
        Some(self.contact_header().ok()?.typed().ok()?.uri)
    }
}

/// Where a request in a dialog goes: its first route or its target if that is an IP address, else where the
/// INVITE went. Names that the far end chose are not resolved.
pub fn next_hop(dialog: &StoredDialog) -> SocketAddr {
    let first = dialog.routes.first().map(|r| r.trim_matches(['<', '>']));
    let uri = first.unwrap_or(&dialog.target);
    Uri::try_from(uri).ok().and_then(|uri| socket_address(&uri)).unwrap_or(dialog.destination)
}

/// The address in a URI, if it is an IP address; port 5060 unless told.
pub fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    match &uri.host_with_port.host {
        Host::IpAddr(ip) => {
            let port = uri.host_with_port.port.as_ref().map_or(5060, |p| p.value());
            Some(SocketAddr::new(*ip, port))
        }
        Host::Domain(_) => None,
    }
}

/// A response without a usable `Contact` gets the INVITE's target, so that its ACK can be built.
pub fn ensure_contact(message: &mut SipMessage, target: impl FnOnce(&Response) -> Option<String>) {
    let SipMessage::Response(response) = message else {
        return;
    };
    let success = (200..300).contains(&response.status_code.code());
    if !success || contact(response).is_some() {
        return;
    }
    if let Some(target) = target(response) {
        response.headers_mut().unique_push(Header::Contact(format!("<{target}>").into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>() -> Draft<'a> {
        Draft {
            target: Uri::try_from("sip:+49@192.0.2.1:5060").unwrap(),
            from: "<sip:+1@192.0.2.9>;tag=a",
            to: "<sip:+49@192.0.2.1:5060>",
            call_id: "c1-1@busyhour",
            cseq: 7,
            routes: &[],
            local: "192.0.2.9:5062".parse().unwrap(),
        }
    }

    #[test]
    fn a_cancel_names_the_invites_branch_and_number() {
        let invite = draft().request(Method::Invite);
        let cancel = cancel_of(&invite);
        assert_eq!(cancel.via_header().unwrap().value(), invite.via_header().unwrap().value());
        assert_eq!(cancel.cseq_header().unwrap().value(), "7 CANCEL");
        assert!(cancel.contact_header().is_err());
    }

    #[test]
    fn record_routes_are_reversed_and_lead_the_way() {
        let invite = draft().request(Method::Invite);
        let response = Response::try_from(
            "SIP/2.0 200 OK\r\n\
             Via: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKx\r\n\
             From: <sip:+1@192.0.2.9>;tag=a\r\nTo: <sip:+49@192.0.2.1:5060>;tag=b\r\n\
             Call-ID: c1-1@busyhour\r\nCSeq: 7 INVITE\r\n\
             Record-Route: <sip:192.0.2.3;lr>, <sip:192.0.2.2:5070;lr>\r\n\
             Record-Route: <sip:edge.example.com;lr>\r\n\
             Contact: <sip:gw@198.51.100.4:5080>\r\nContent-Length: 0\r\n\r\n",
        )
        .unwrap();
        let mut dialog = established(&invite, &response, "192.0.2.1:5060".parse().unwrap());
        assert_eq!(
            dialog.routes,
            ["<sip:edge.example.com;lr>", "<sip:192.0.2.2:5070;lr>", "<sip:192.0.2.3;lr>"]
        );
        assert_eq!(dialog.target, "sip:gw@198.51.100.4:5080");
        assert_eq!(next_hop(&dialog), dialog.destination, "a name is not resolved");
        dialog.routes.remove(0);
        assert_eq!(next_hop(&dialog), "192.0.2.2:5070".parse().unwrap());
        dialog.routes.clear();
        assert_eq!(next_hop(&dialog), "198.51.100.4:5080".parse().unwrap());
    }
}
