//! Addresses as they are configured: `host:port`.

use std::net::Ipv6Addr;

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// An IPv6 address without the brackets that set it apart from the port.
    #[error("an IPv6 address stands in brackets: {0}")]
    NoBrackets(String),
    /// Something else.
    #[error("it is not of the form host:port")]
    Malformed,
}

/// The host and the port of `host:port`. An IPv6 address stands in brackets, which the host keeps: `[::1]:9876`.
///
/// # Errors
/// An IPv6 address without brackets (the error names the right form), no host, or no port from 1 to 65,535.
pub fn split(addr: &str) -> Result<(&str, u16), AddressError> {
    let (host, port) = addr.rsplit_once(':').ok_or(AddressError::Malformed)?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match (bracketed, port) {
        (Some(inner), Some(port)) if is_ipv6(inner) => Ok((host, port)),
        (None, Some(port)) if !host.is_empty() && !host.contains([':', '[', ']']) => Ok((host, port)),
        (None, Some(port)) if is_ipv6(host) => Err(AddressError::NoBrackets(format!("[{host}]:{port}"))),
        (None, _) if is_ipv6(addr) => Err(AddressError::NoBrackets(format!("[{addr}]:9876"))),
        _ => Err(AddressError::Malformed),
    }
}

/// True for an IPv6 address, with or without a zone: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("mq.example.org:9876"), Ok(("mq.example.org", 9876)));
        assert_eq!(split("[::1]:9876"), Ok(("[::1]", 9876)));
        assert_eq!(split("[fe80::1%eth0]:9876"), Ok(("[fe80::1%eth0]", 9876)));
        for wrong in
            ["", "host", "host:", ":1", "host:0", "host:99999", "a:b:1", "[::1]", "[host]:1", "[::1:1"]
        {
            assert_eq!(split(wrong), Err(AddressError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_ipv6_address_without_brackets_is_told_its_right_form() {
        for (wrong, right) in
            [("::1:9876", "[::1]:9876"), ("fe80::1%eth0:1", "[fe80::1%eth0]:1"), ("::1", "[::1]:9876")]
        {
            assert_eq!(split(wrong), Err(AddressError::NoBrackets(right.to_owned())), "{wrong}");
        }
    }
}
