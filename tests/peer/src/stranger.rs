//! A UDP socket that says to a SIP port whatever a test wants.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// When a question is asked again: a flooded or busy port loses datagrams.
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// Someone whom the SIP port `port` does not know.
pub struct Stranger {
    socket: UdpSocket,
    /// Whom it speaks to.
    pub port: SocketAddr,
}

impl Stranger {
    /// A stranger with a socket of its own.
    ///
    /// # Panics
    /// If the system has no socket left.
    pub fn of(port: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(REPEAT_AFTER)).expect("a timeout");
        Self { socket, port }
    }

    /// Its own address.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// Sends something, and waits for nothing.
    ///
    /// # Panics
    /// If the system does not take it.
    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send_to(datagram.as_ref(), self.port).expect("it is sent");
    }

    /// The final answer to a request with this Call-ID; what is said of others goes to `passed_over`. It must come.
    ///
    /// # Panics
    /// If there is none.
    pub fn ask(
        &self,
        request: impl AsRef<[u8]>,
        call: &str,
        mut passed_over: impl FnMut(&str),
    ) -> String {
        let bound = Instant::now() + PATIENCE;
        let mut datagram = vec![0; 65_535];
        self.send(&request);
        loop {
            match self.socket.recv(&mut datagram) {
                Ok(length) => {
                    let answer = String::from_utf8_lossy(&datagram[..length]).into_owned();
                    if status_for(&answer, call).is_some() {
                        return answer;
                    }
                    passed_over(&answer);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    assert!(Instant::now() < bound, "no answer for {call}");
                    self.send(&request);
                }
                Err(error) => panic!("{}: {error}", self.port),
            }
        }
    }

    /// The status of that answer.
    pub fn status(&self, request: impl AsRef<[u8]>, call: &str) -> u16 {
        let answer = self.ask(request, call, |_| {});
        status_for(&answer, call).expect("it is an answer for this call")
    }
}

/// The final status of a response with this Call-ID.
pub fn status_for(answer: &str, call: &str) -> Option<u16> {
    let (line, headers) = answer.split_once("\r\n")?;
    let status = line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    let ours = headers.split("\r\n").any(|header| header == format!("Call-ID: {call}"));
    (ours && status >= 200).then_some(status)
}
