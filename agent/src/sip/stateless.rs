//! Answers to requests that the stack cannot take: unknown methods get 501, broken ones 400, other versions 505
//! (RFC 3261, 8.2 and 16.3; RFC 4475). Written from the datagram's own lines, without any state.

use super::message;

const HEADERS_MAX: usize = 64;

/// The parser accepts some requests that the RFC does not: those of another version, those whose `CSeq` names another
/// method, and those whose `Content-Length` is longer than the datagram or no number.
pub fn must_refuse(datagram: &[u8]) -> bool {
    let Some(request) = read(datagram) else {
        return false;
    };
    request.version != "SIP/2.0" || request.broken(datagram)
}

/// The answer to a datagram that no transaction can take, or `None` if it deserves none: a response, an ACK,
/// or not enough of a request to route an answer to.
pub fn answer(datagram: &[u8]) -> Option<Vec<u8>> {
    let request = read(datagram)?;
    if request.method == "ACK" {
        return None;
    }
    let (code, reason) = if request.version != "SIP/2.0" {
        (505, "Version Not Supported")
    } else if request.broken(datagram) || KNOWN.contains(&request.method) {
        (400, "Bad Request")
    } else {
        (501, "Not Implemented")
    };
    let mut reply = format!("SIP/2.0 {code} {reason}\r\n");
    for (name, value) in &request.copied {
        let tag = (*name == "To" && !value.contains(";tag=")).then(message::random_token);
        match tag {
            Some(tag) => reply.push_str(&format!("{name}: {value};tag={tag}\r\n")),
            None => reply.push_str(&format!("{name}: {value}\r\n")),
        }
    }
    reply.push_str(&format!(
        "Allow: {}\r\nServer: {}\r\nContent-Length: 0\r\n\r\n",
        message::ALLOW,
        message::AGENT
    ));
    Some(reply.into_bytes())
}

const KNOWN: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

struct Raw<'a> {
    method: &'a str,
    version: &'a str,
    copied: Vec<(&'static str, &'a str)>,
    content_length: Option<&'a str>,
    body: usize,
}

impl Raw<'_> {
    fn broken(&self, datagram: &[u8]) -> bool {
        let cseq = self.copied.iter().find(|(name, _)| *name == "CSeq");
        let other_method = cseq.is_none_or(|(_, value)| {
            let mut words = value.split_ascii_whitespace();
            let number = words.next().and_then(|n| n.parse::<u32>().ok());
            number.is_none_or(|n| n > i32::MAX as u32) || words.next() != Some(self.method)
        });
        let bad_length = self.content_length.is_some_and(|length| {
            length.parse::<usize>().map_or(true, |length| length > datagram.len() - self.body)
        });
        other_method || bad_length
    }
}

/// Reads as much of a request as an answer needs; `None` unless all of it is there.
fn read(datagram: &[u8]) -> Option<Raw<'_>> {
    let end = datagram.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(datagram.len());
    let text = std::str::from_utf8(&datagram[..end]).ok()?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, _uri, version) = (words.next()?, words.next()?, words.next_back()?);
    let token = |c: u8| c.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&c);
    if method.is_empty() || method.len() > 32 || !method.bytes().all(token) {
        return None;
    }
    if !version.starts_with("SIP/") {
        return None;
    }
    let mut raw = Raw {
        method,
        version,
        copied: Vec::new(),
        content_length: None,
        body: (end + 4).min(datagram.len()),
    };
    for line in lines.take(HEADERS_MAX) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        let name = match name.trim().to_ascii_lowercase().as_str() {
            "via" | "v" => "Via",
            "from" | "f" => "From",
            "to" | "t" => "To",
            "call-id" | "i" => "Call-ID",
            "cseq" => "CSeq",
            "content-length" | "l" => {
                raw.content_length = Some(value);
                continue;
            }
            _ => continue,
        };
        if value.chars().any(char::is_control) {
            return None;
        }
        raw.copied.push((name, value));
    }
    let complete = ["Via", "From", "To", "Call-ID", "CSeq"]
        .iter()
        .all(|wanted| raw.copied.iter().any(|(name, _)| name == wanted));
    complete.then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, version: &str, cseq: &str, extra: &str) -> String {
        format!(
            "{method} sip:a@192.0.2.1 {version}\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:b@192.0.2.2>;tag=1\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: x\r\nCSeq: {cseq}\r\n{extra}\r\n"
        )
    }

    fn status(datagram: &str) -> Option<String> {
        let reply = String::from_utf8(answer(datagram.as_bytes())?).unwrap();
        assert!(reply.contains("Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n"));
        assert!(reply.contains("To: <sip:a@192.0.2.1>;tag="));
        Some(reply.lines().next().unwrap().to_owned())
    }

    #[test]
    fn each_defect_gets_the_verdict_of_the_rfc() {
        let answered =
            |method, version, cseq, extra| status(&request(method, version, cseq, extra));
        assert_eq!(
            answered("NEWMETHOD", "SIP/2.0", "1 NEWMETHOD", "").unwrap(),
            "SIP/2.0 501 Not Implemented"
        );
        assert_eq!(
            answered("OPTIONS", "SIP/7.0", "1 OPTIONS", "").unwrap(),
            "SIP/2.0 505 Version Not Supported"
        );
        for (cseq, extra) in [
            ("1 INVITE", ""),
            ("36893488147419103232 OPTIONS", ""),
            ("1 OPTIONS", "Content-Length: 9999\r\n"),
            ("1 OPTIONS", "l: -1\r\n"),
        ] {
            let datagram = request("OPTIONS", "SIP/2.0", cseq, extra);
            assert!(must_refuse(datagram.as_bytes()), "{cseq} {extra}");
            assert_eq!(status(&datagram).unwrap(), "SIP/2.0 400 Bad Request");
        }
        assert!(!must_refuse(request("OPTIONS", "SIP/2.0", "1 OPTIONS", "").as_bytes()));
    }

    #[test]
    fn what_deserves_no_answer_gets_none() {
        assert_eq!(status(&request("ACK", "SIP/2.0", "1 INVITE", "")), None);
        assert_eq!(answer(b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n"), None);
        assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), None);
        assert_eq!(answer(&[0xff; 60]), None);
    }
}
