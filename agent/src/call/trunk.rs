//! Where a carrier's trunk is.

use std::{io, net::SocketAddr};

/// Standard port of SIP over UDP.
const SIP_PORT: u16 = 5060;

/// The address behind `host:port` or `host`; a name is resolved by the operating system.
///
/// # Errors
/// If the name is not known.
pub async fn resolve(address: &str) -> io::Result<SocketAddr> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    if let Ok(ip) = address.trim_matches(['[', ']']).parse() {
        return Ok(SocketAddr::new(ip, SIP_PORT));
    }
    let with_port =
        if address.contains(':') { address.to_owned() } else { format!("{address}:{SIP_PORT}") };
    let mut found = tokio::net::lookup_host(with_port).await?;
    found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_way_to_write_a_trunk_is_read() {
        for (text, address) in [
            ("127.0.0.1:5070", "127.0.0.1:5070"),
            ("127.0.0.1", "127.0.0.1:5060"),
            ("[::1]:5070", "[::1]:5070"),
            ("::1", "[::1]:5060"),
            ("[::1]", "[::1]:5060"),
        ] {
            assert_eq!(resolve(text).await.unwrap(), address.parse().unwrap(), "{text}");
        }
        assert_eq!(resolve("localhost").await.unwrap().port(), 5060);
        assert!(resolve("").await.is_err());
        assert!(resolve("no such host").await.is_err());
    }
}
