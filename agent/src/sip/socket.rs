//! Our UDP socket: bounded, unlogged, and deaf to nothing but what cannot be a SIP message.

use std::{io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use rsipstack::{
    sip::{SipMessage, Transport},
    transaction::endpoint::EndpointInnerRef,
    transport::{SipAddr, SipConnection},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{incoming::Dialogs, message, stateless};
use crate::metric_definitions as metric;

/// Largest datagram that is looked at.
const DATAGRAM_MAX: usize = 65_535;
/// Kernel buffers: a burst of a thousand calls' responses, at about 1 KiB each, with room.
const BUFFER_BYTES: usize = 4 << 20;

/// Binds a UDP socket with large buffers.
///
/// # Errors
/// What the operating system says, such as that the port is taken.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel grants what its own bound allows; less is not an error.
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Reads datagrams for ever and hands each to the stack before the next is read, so that nothing piles up
/// but in the kernel's bounded buffer.
pub async fn read(
    socket: Arc<UdpSocket>,
    connection: SipConnection,
    endpoint: EndpointInnerRef,
    dialogs: Arc<Dialogs>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // ICMP errors of earlier sends surface here; the timers see to those.
            continue;
        };
        let datagram = &buffer[..length];
        match parse(datagram, from) {
            Parsed::Message(mut message) => {
                message::ensure_contact(&mut message, |response| dialogs.target_of(response));
                let from = SipAddr { r#type: Some(Transport::Udp), addr: from.into() };
                let handled = endpoint.on_received_message(message, connection.clone(), &from);
                match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => metric::sip_dropped("no_transaction"),
                    Err(_) => metric::sip_dropped("panic"),
                }
            }
            Parsed::KeepAlive => {}
            Parsed::Reply(reply) => {
                metric::sip_dropped("refused");
                let _ = socket.send_to(&reply, from).await;
            }
            Parsed::Garbage => metric::sip_dropped("garbage"),
        }
    }
}

/// What a datagram turned out to be.
enum Parsed {
    Message(SipMessage),
    KeepAlive,
    /// A request that the stack cannot take, with the answer that the RFC asks for.
    Reply(Vec<u8>),
    Garbage,
}

fn parse(datagram: &[u8], from: SocketAddr) -> Parsed {
    if datagram.iter().all(u8::is_ascii_whitespace) {
        return Parsed::KeepAlive;
    }
    let parsed = std::panic::catch_unwind(|| {
        let message = SipMessage::try_from(datagram).ok()?;
        SipConnection::update_msg_received(message, from, Transport::Udp).ok()
    });
    match parsed {
        Ok(Some(mut message)) if !stateless::must_refuse(datagram) => {
            match &mut message {
                SipMessage::Request(request) => {
                    message::unmark(&mut request.headers);
                    message::mark_source(&mut request.headers, from);
                }
                SipMessage::Response(response) => message::unmark(&mut response.headers),
            }
            Parsed::Message(message)
        }
        _ => stateless::answer(datagram).map_or(Parsed::Garbage, Parsed::Reply),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_datagram_makes_the_parser_panic(
            head in "(INVITE|BYE|FOO|SIP/2.0 200)? ?(sip:[a-z@:;=<>0-9]{0,20})? ?(SIP/2.0)?\r\n",
            lines in proptest::collection::vec(
                "(Via|v|From|f|To|t|CSeq|Call-ID|i|Contact|Content-Length|l|Route|X)[ \t]*:[ -~\\x00\u{fffd}]{0,40}",
                0..12,
            ),
            tail in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut datagram = head.into_bytes();
            for line in lines {
                datagram.extend_from_slice(line.as_bytes());
                datagram.extend_from_slice(b"\r\n");
            }
            datagram.extend_from_slice(b"\r\n");
            datagram.extend_from_slice(&tail);
            let _ = parse(&datagram, "192.0.2.1:5060".parse().unwrap());
            let _ = parse(&tail, "192.0.2.1:5060".parse().unwrap());
        }
    }
}
