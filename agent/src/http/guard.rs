//! Which addresses a tenant's URLs may reach: public ones, and those that the operator allows.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use parking_lot::RwLock;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Why an address may not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Not HTTP.
    #[error("scheme {0:?}: expected http or https")]
    Scheme(String),
    /// No host in it.
    #[error("the URL names no host")]
    NoHost,
    /// Not a public address, nor one that the operator allows.
    #[error("{0} is not a public address")]
    Private(IpAddr),
}

/// Judges addresses. Clones share the operator's list, which may change at any time.
#[derive(Clone, Default)]
pub struct Guard {
    allowed: Arc<RwLock<Vec<IpNet>>>,
}

impl Guard {
    /// A guard that lets through public addresses and `allowed`.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed: Arc::new(RwLock::new(allowed)) }
    }

    /// Takes the operator's list anew.
    pub fn allow(&self, allowed: Vec<IpNet>) {
        *self.allowed.write() = allowed;
    }

    /// Judges an address.
    ///
    /// # Errors
    /// [`NotAllowed::Private`].
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), NotAllowed> {
        let ip = embedded_v4(ip).map_or(ip, IpAddr::V4);
        if is_public(ip) || self.allowed.read().iter().any(|net| net.contains(&ip)) {
            return Ok(());
        }
        Err(NotAllowed::Private(ip))
    }

    /// Judges what can be judged of a URL before its name is resolved.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn check_url(&self, url: &Url) -> Result<(), NotAllowed> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAllowed::Scheme(url.scheme().to_owned()));
        }
        match url.host().ok_or(NotAllowed::NoHost)? {
            Host::Ipv4(ip) => self.check_ip(ip.into()),
            Host::Ipv6(ip) => self.check_ip(ip.into()),
            // The resolver judges what it stands for, at each connection: a name can change its mind.
            Host::Domain(_) => Ok(()),
        }
    }
}

/// Resolves names by the operating system and drops what the guard refuses.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = None;
            let mut passed = Vec::new();
            for address in found {
                match guard.check_ip(address.ip()) {
                    Ok(()) => passed.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(error) if passed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4 and Teredo ones would
/// otherwise be a way around the list.
fn embedded_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// All but the special-purpose blocks of IANA's registry (RFC 6890 and its successors).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    )
}

/// Global unicast (2000::/3), but for what is reserved inside of it.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let global = s[0] & 0xe000 == 0x2000;
    let reserved = matches!(s, [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..])
        || matches!(s, [0x2620, 0x4f, 0x8000, ..])
        || (s[0] == 0x3fff && s[1] < 0x1000);
    global && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let guard = Guard::default();
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.1.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001:0:1::f5ff:fffe",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "100::1",
            "3fff::1",
            "fd00:ec2::254",
            "5f00::1",
        ];
        for ip in refused {
            assert!(guard.check_ip(ip.parse().unwrap()).is_err(), "{ip} passed");
        }
        let passed = [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2001:4860:4860::8888",
        ];
        for ip in passed {
            assert_eq!(guard.check_ip(ip.parse().unwrap()), Ok(()), "{ip} refused");
        }
    }

    #[test]
    fn the_operators_networks_pass_in_every_disguise_and_no_others() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        for ip in ["127.0.0.1", "::ffff:127.0.0.1"] {
            assert_eq!(guard.check_ip(ip.parse().unwrap()), Ok(()));
        }
        assert!(guard.check_ip("10.0.0.1".parse().unwrap()).is_err());
        guard.allow(Vec::new());
        assert!(guard.check_ip("127.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn urls_that_hide_an_address_are_seen_through() {
        let guard = Guard::default();
        let refused = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "https://169.254.169.254/latest/meta-data",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:text/xml,x",
        ];
        for url in refused {
            assert!(guard.check_url(&Url::parse(url).unwrap()).is_err(), "{url} passed");
        }
        assert_eq!(guard.check_url(&Url::parse("https://example.com/x").unwrap()), Ok(()));
    }

    #[tokio::test]
    async fn a_name_for_a_private_address_is_refused_by_the_resolver() {
        let name = || "localhost".parse::<Name>().unwrap();
        let error = Guard::default().resolve(name()).await.err().unwrap();
        assert!(error.downcast_ref::<NotAllowed>().is_some(), "{error}");
        let nets = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        assert!(Guard::new(nets.to_vec()).resolve(name()).await.is_ok());
    }
}
