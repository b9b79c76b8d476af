//! The RTP ports: even ones of a range, taken in turn so that a port rests before it is used again.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::Arc,
};

use parking_lot::Mutex;

/// Ports tried for one call before it is given up: others may hold some of the range.
const TRIES_MAX: usize = 32;

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Every port is in use by calls.
    #[error("every RTP port is in use")]
    Exhausted,
    /// The operating system refused them.
    #[error("no RTP port could be bound: {0}")]
    Bind(io::Error),
}

/// Gives out bound sockets.
pub struct Ports {
    ip: IpAddr,
    free: Option<Mutex<VecDeque<u16>>>,
}

/// A bound socket, whose port goes back on drop.
pub struct Bound {
    pub socket: UdpSocket,
    pub address: SocketAddr,
    ports: Arc<Ports>,
}

impl Ports {
    /// The even ports of `range` on `ip`; without a range, whatever the operating system has.
    pub fn new(ip: IpAddr, range: Option<RangeInclusive<u16>>) -> Arc<Self> {
        let even = |range: RangeInclusive<u16>| range.filter(|p| p % 2 == 0 && *p > 0).collect();
        Arc::new(Self { ip, free: range.map(|range| Mutex::new(even(range))) })
    }

    /// Binds the next free port.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn bind(self: &Arc<Self>) -> Result<Bound, PortError> {
        let mut failure = None;
        for _ in 0..TRIES_MAX {
            let port = match &self.free {
                None => 0,
                Some(free) => {
                    let Some(port) = free.lock().pop_front() else {
                        break;
                    };
                    port
                }
            };
            match open(SocketAddr::new(self.ip, port)) {
                Ok((socket, address)) => {
                    let ports = self.clone();
                    return Ok(Bound { socket, address, ports });
                }
                Err(error) => {
                    self.give_back(port);
                    failure = Some(error);
                }
            }
        }
        Err(failure.map_or(PortError::Exhausted, PortError::Bind))
    }

    fn give_back(&self, port: u16) {
        if let Some(free) = &self.free {
            free.lock().push_back(port);
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.ports.give_back(self.address.port());
    }
}

fn open(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_even_bounded_and_rest_before_reuse() {
        let ip = busyhour_peer::own_ip().into();
        let ports = Ports::new(ip, Some(42_001..=42_007));
        let all: Vec<Bound> = (0..3).map(|_| ports.bind().unwrap()).collect();
        let numbers: Vec<u16> = all.iter().map(|b| b.address.port()).collect();
        assert_eq!(numbers, [42_002, 42_004, 42_006]);
        assert!(matches!(ports.bind(), Err(PortError::Exhausted)));
        drop(all);
        let taken = UdpSocket::bind((ip, 42_002)).unwrap();
        assert_eq!(ports.bind().unwrap().address.port(), 42_004, "a foreign socket is passed over");
        drop(taken);
    }
}
