//! Reads a datagram into the few things that a user agent server decides on.

use std::net::{IpAddr, SocketAddr};

use rsipstack::sip::{
    HasHeaders, Header, Method, Request, Response, SipMessage, Version, parser::parse_message,
};

use super::value;

/// A well-formed message.
#[derive(Debug)]
pub(crate) enum Incoming {
    Request(Box<InRequest>),
    Response(InResponse),
}

/// A request with everything that a response must copy (RFC 3261 8.2.6.2).
#[derive(Debug)]
pub(crate) struct InRequest {
    pub(crate) method: Method,
    /// User part of the Request-URI.
    pub(crate) called: String,
    pub(crate) vias: Vec<String>,
    pub(crate) branch: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) contact: Option<String>,
    pub(crate) record_routes: Vec<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) session_expires: Option<String>,
    pub(crate) is_sdp: bool,
    pub(crate) body: Vec<u8>,
}

/// A response to a request of ours.
#[derive(Debug)]
pub(crate) struct InResponse {
    pub(crate) status: u16,
    pub(crate) branch: String,
    pub(crate) method: String,
}

/// Why a datagram is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// A keep-alive (RFC 5626 3.5.1) or nothing at all.
    KeepAlive,
    /// Not SIP, or without what every message must have.
    Malformed,
}

/// Reads one datagram.
pub(crate) fn read(datagram: &[u8]) -> Result<Incoming, Unreadable> {
    if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Unreadable::KeepAlive);
    }
    match parse_message(datagram).map_err(|_| Unreadable::Malformed)? {
        SipMessage::Request(request) => {
            read_request(request, datagram).map(|request| Incoming::Request(Box::new(request)))
        }
        SipMessage::Response(response) => read_response(&response).map(Incoming::Response),
    }
    .ok_or(Unreadable::Malformed)
}

fn read_request(request: Request, datagram: &[u8]) -> Option<InRequest> {
    // RFC 4475 3.1.2.16: another version's messages may mean anything.
    (request.version == Version::V2).then_some(())?;
    let called = value::user(&request.uri.to_string()).to_owned();
    let mut vias = Vec::new();
    let mut record_routes = Vec::new();
    let (mut from, mut to, mut call_id, mut cseq) = (None, None, None, None);
    let (mut contact, mut authorization, mut session_expires) = (None, None, None);
    let (mut has_length, mut is_sdp) = (false, false);
    for header in request.headers.iter() {
        let text = clean(header.value())?;
        match header {
            Header::Via(_) => vias.push(text),
            Header::RecordRoute(_) => record_routes.push(text),
            // Two of what may be there once is an ambiguity that others may read the other way (RFC 4475 3.3.8).
            Header::From(_) => once(&mut from, text)?,
            Header::To(_) => once(&mut to, text)?,
            Header::CallId(_) => once(&mut call_id, text)?,
            Header::CSeq(_) => once(&mut cseq, text)?,
            Header::Contact(_) => contact = contact.or(Some(text)),
            Header::Authorization(_) => authorization = authorization.or(Some(text)),
            Header::SessionExpires(_) => session_expires = session_expires.or(Some(text)),
            Header::ContentLength(_) => {
                // A length beyond the datagram is an error (RFC 3261 18.3).
                let length: usize = text.parse().ok()?;
                (length == request.body.len()).then_some(())?;
                has_length = true;
            }
            Header::ContentType(_) => {
                let kind = text.split(';').next().unwrap_or_default().trim();
                is_sdp = kind.eq_ignore_ascii_case("application/sdp");
            }
            _ => {}
        }
    }
    let (number, method) = read_cseq(&cseq?)?;
    (method == request.method.to_string()).then_some(())?;
    let branch = branch_of(vias.first()?)?;
    let body = if has_length { request.body } else { body_to_end(datagram) };
    let (from, call_id) = (from?, call_id?);
    value::tag(&from)?;
    (!call_id.is_empty()).then_some(())?;
    Some(InRequest {
        method: request.method,
        called,
        vias,
        branch,
        from,
        to: to?,
        call_id,
        cseq: number,
        contact,
        record_routes,
        authorization,
        session_expires,
        is_sdp,
        body,
    })
}

fn read_response(response: &Response) -> Option<InResponse> {
    let find = |wanted: fn(&Header) -> bool| {
        response
            .headers()
            .iter()
            .find(|header| wanted(header))
            .map(|header| header.value().to_owned())
    };
    let via = find(|header| matches!(header, Header::Via(_)))?;
    let (_, method) = read_cseq(&find(|header| matches!(header, Header::CSeq(_)))?)?;
    Some(InResponse { status: response.status_code.code(), branch: branch_of(&via)?, method })
}

fn once(slot: &mut Option<String>, text: String) -> Option<()> {
    slot.replace(text).is_none().then_some(())
}

/// Values are copied into responses: nothing that could start a new header may be in them.
fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    text.chars()
        .all(|character| character == '\t' || !character.is_control())
        .then(|| text.to_owned())
}

fn read_cseq(text: &str) -> Option<(u32, String)> {
    let mut words = text.split_whitespace();
    let number: u32 = words.next()?.parse().ok()?;
    let method = words.next()?.to_owned();
    // RFC 3261 8.1.1.5: less than 2^31.
    (number < 1 << 31 && words.next().is_none()).then_some((number, method))
}

fn branch_of(via: &str) -> Option<String> {
    let (first, _) = value::first_of_list(via);
    let (_, params) = first.split_once(';')?;
    value::parameter(params, "branch").filter(|branch| !branch.is_empty()).map(str::to_owned)
}

/// Over UDP a body without Content-Length reaches to the end of the datagram (RFC 3261 18.3).
fn body_to_end(datagram: &[u8]) -> Vec<u8> {
    datagram
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| datagram[at + 4..].to_vec())
        .unwrap_or_default()
}

/// Where responses to a request go and how its top Via is written back (RFC 3261 18.2, RFC 3581).
pub(crate) fn return_path(via: &str, source: SocketAddr) -> (String, SocketAddr) {
    let (first, rest) = value::first_of_list(via);
    let (head, params) = first.split_once(';').unwrap_or((first, ""));
    let sent_by = head.split_whitespace().last().unwrap_or_default();
    let (host, port) = host_and_port(sent_by);
    let mut written = head.trim_end().to_owned();
    let mut has_rport = false;
    for param in params.split(';').filter(|param| !param.trim().is_empty()) {
        let name = param.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("rport") {
            has_rport = true;
            written.push_str(&format!(";rport={}", source.port()));
        } else if !name.eq_ignore_ascii_case("received") {
            written.push(';');
            written.push_str(param.trim());
        }
    }
    if has_rport || host.parse::<IpAddr>().ok() != Some(source.ip()) {
        written.push_str(&format!(";received={}", source.ip()));
    }
    written.push_str(rest);
    let port = if has_rport { source.port() } else { port.unwrap_or(5060) };
    (written, SocketAddr::new(source.ip(), port))
}

fn host_and_port(sent_by: &str) -> (&str, Option<u16>) {
    if let Some(rest) = sent_by.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match sent_by.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (sent_by, None),
    }
}

/// The socket that a Contact or Record-Route URI names, when it names it by number.
pub(crate) fn socket_of(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("SIP:"))?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let end = host.find([';', '?']).unwrap_or(host.len());
    let (host, port) = host_and_port(&host[..end]);
    Some(SocketAddr::new(host.parse().ok()?, port.unwrap_or(5060)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa\r\n\
         f: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: id\r\nCSeq: 7 OPTIONS\r\n";

    fn request(text: &str) -> Option<InRequest> {
        match read(text.as_bytes()) {
            Ok(Incoming::Request(request)) => Some(*request),
            _ => None,
        }
    }

    #[test]
    fn compact_forms_and_missing_length_are_read() {
        let read = request(&format!("{OPTIONS}\r\nrest")).expect("readable");
        assert_eq!((read.branch.as_str(), read.cseq), ("z9hG4bKa", 7));
        assert_eq!(read.body, b"rest");
    }

    #[test]
    fn ambiguous_and_short_messages_are_refused() {
        for extra in [
            "CSeq: 8 OPTIONS\r\n",
            "Call-ID: other\r\n",
            "To: <sip:e@f>\r\n",
            "Content-Length: 9\r\n",
            "Content-Length: x\r\n",
            "Subject: a\rInjected: b\r\n",
        ] {
            assert!(request(&format!("{OPTIONS}{extra}\r\n")).is_none(), "{extra:?}");
        }
        assert!(request(&OPTIONS.replace("7 OPTIONS", "7 INVITE")).is_none());
        assert!(request(&format!("{}\r\n", OPTIONS.replace("7 ", "2147483648 "))).is_none());
    }

    #[test]
    fn responses_go_where_the_request_came_from() {
        let source = SocketAddr::from(([127, 0, 0, 1], 7000));
        let (via, to) = return_path("SIP/2.0/UDP 10.0.0.1;rport;branch=z, SIP/2.0/UDP x", source);
        assert_eq!(
            via,
            "SIP/2.0/UDP 10.0.0.1;rport=7000;branch=z;received=127.0.0.1, SIP/2.0/UDP x"
        );
        assert_eq!(to, source);
        let (via, to) = return_path("SIP/2.0/UDP 127.0.0.1:5070;branch=z", source);
        assert_eq!(via, "SIP/2.0/UDP 127.0.0.1:5070;branch=z");
        assert_eq!(to.port(), 5070);
    }

    #[test]
    fn contacts_name_their_socket() {
        assert_eq!(
            socket_of("sip:a@127.0.0.1:5070;transport=udp"),
            Some(SocketAddr::from(([127, 0, 0, 1], 5070)))
        );
        assert_eq!(socket_of("sip:[::1]:9").map(|socket| socket.port()), Some(9));
        assert_eq!(socket_of("sip:a@host.example"), None);
    }
}
