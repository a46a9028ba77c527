//! Where endpoints may not stand: an address that only our own network can reach. The check is made
//! on the address that is connected to, not on the name, so a name that changes its mind is no way
//! around it.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names to public addresses only.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Vec::from_iter);
            public_of(name.as_str(), found)
        })
    }
}

/// A name that does not exist fails as one of an internal address does: a tenant does not learn which internal names exist.
fn public_of(name: &str, found: std::io::Result<Vec<SocketAddr>>) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let found = found.unwrap_or_default().into_iter();
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() {
        return Err(format!("`{name}` has no public address").into());
    }
    Ok(Box::new(public.into_iter()))
}

pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Everything that the IANA special-purpose registry does not call globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Forms that carry an IPv4 address: mapped, compatible, NAT64 and 6to4.
    let segments = address.segments();
    let low = Ipv4Addr::from(((segments[6] as u32) << 16) | segments[7] as u32);
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] => return is_public_v4(low),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return is_public_v4(low),
        [0x2002, high, next, ..] => return is_public_v4(Ipv4Addr::from(((high as u32) << 16) | next as u32)),
        _ => {}
    }
    // Only 2000::/3 is in global use, and parts of it are set aside.
    let global = segments[0] & 0xe000 == 0x2000;
    let set_aside = matches!(segments, [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..]);
    global && !set_aside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_fails_as_an_internal_one_does() {
        let text = |found| public_of("db.internal", found).err().expect("refused").to_string();
        let inner = Ok(vec!["10.0.0.7:0".parse().expect("an address")]);
        let missing = Err(std::io::Error::other("failed to lookup address information: Name or service not known"));
        assert_eq!(text(inner), text(missing));
        let both = Ok(["10.0.0.7:0", "1.1.1.1:0"].map(|address| address.parse().expect("an address")).to_vec());
        let public: Vec<_> = public_of("example.com", both).expect("one of them").collect();
        assert_eq!(public, ["1.1.1.1:0".parse().expect("an address")]);
    }

    #[test]
    fn only_addresses_of_the_public_internet_pass() {
        for public in ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        let inner = [
            "0.0.0.0",
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "203.0.113.9",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
        ];
        for address in inner {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
    }
}
