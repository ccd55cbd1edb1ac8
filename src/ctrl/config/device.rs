//! What a port's `device` says: the name that DPDK knows it by, and its arguments.

/// A device string, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    /// The PCI address with its domain, or the vdev's name: `0000:03:00.0`, `net_af_packet0`.
    pub name: String,
    /// What follows the name, in order: `iface=veth0` is `("iface", "veth0")`.
    pub arguments: Vec<(&'a str, &'a str)>,
}

impl<'a> Device<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// One line that says what a device looks like, if `text` is neither a PCI address nor a vdev.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let name = match pci_address(name) {
            Some(address) => address,
            None if is_vdev(name) => name.to_owned(),
            None => {
                return Err(format!(
                    "\"{text}\" is neither a PCI address (\"0000:03:00.0\") nor a DPDK vdev (\"net_af_packet0,iface=eth1\")"
                ));
            }
        };
        let arguments = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        Ok(Self { name, arguments })
    }

    /// Tells whether this is a PCI device.
    pub fn is_pci(&self) -> bool {
        self.name.contains(':')
    }

    /// Returns the values of the argument `name`, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.arguments.iter().filter(move |(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// Returns the interfaces of the kernel that must be there before the port can start.
    pub fn interfaces(&self) -> Vec<&'a str> {
        let names: &[&str] = match self.driver() {
            "net_af_packet" | "net_af_xdp" => &["iface"],
            "net_pcap" => &["iface", "rx_iface", "rx_iface_in", "tx_iface"],
            "net_tap" => &["remote"],
            _ => &[],
        };
        self.arguments.iter().filter(|(key, _)| names.contains(key)).map(|(_, value)| *value).collect()
    }

    /// Returns the kernel's interface whose carrier is the port's, for a vdev that has one.
    pub fn carrier(&self) -> Option<&'a str> {
        self.interfaces().first().copied()
    }

    /// Returns the vdev's name without its number; the address itself for a PCI device.
    pub fn driver(&self) -> &str {
        if self.is_pci() { &self.name } else { self.name.trim_end_matches(|c: char| c.is_ascii_digit()) }
    }
}

fn is_vdev(name: &str) -> bool {
    let known = name.strip_prefix("net_").or_else(|| name.strip_prefix("eth_"));
    known.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'))
}

/// Returns the address with domain, in lower case; `None` if `text` is not `[DDDD:]BB:DD.F`.
fn pci_address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut fields = rest.rsplit(':');
    let (device, bus, domain) = (fields.next()?, fields.next()?, fields.next().unwrap_or("0000"));
    let hex = |field: &str, digits: usize| field.len() == digits && field.bytes().all(|c| c.is_ascii_hexdigit());
    let whole = fields.next().is_none()
        && (4..=8).any(|digits| hex(domain, digits))
        && hex(bus, 2)
        && hex(device, 2)
        && matches!(function.as_bytes(), [b'0'..=b'7']);
    whole.then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_completed() {
        for (text, name) in
            [("0000:03:00.0", "0000:03:00.0"), ("AF:1f.7", "0000:af:1f.7"), ("10000:01:00.1", "10000:01:00.1")]
        {
            let device = Device::parse(text).unwrap();
            assert_eq!(device.name, name);
            assert!(device.is_pci());
            assert!(device.interfaces().is_empty());
        }
    }

    #[test]
    fn vdevs_tell_their_interfaces() {
        for (text, driver, interfaces) in [
            ("net_af_packet0,iface=veth0,qpairs=2", "net_af_packet", &["veth0"][..]),
            ("net_af_xdp1,iface=a,start_queue=1", "net_af_xdp", &["a"]),
            ("net_pcap0,rx_iface=a,tx_iface=b", "net_pcap", &["a", "b"]),
            ("net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap", "net_pcap", &[]),
            ("net_tap0,iface=made", "net_tap", &[]),
            ("net_ring0", "net_ring", &[]),
        ] {
            let device = Device::parse(text).unwrap();
            assert_eq!((device.driver(), device.interfaces().as_slice()), (driver, interfaces));
            assert!(!device.is_pci());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "eth0", "net_", "03:00", "3:0.0", "0000:03:00.8", "0:0000:03:00.0", "net_ring 0", "veth0,iface=a"]
        {
            assert!(Device::parse(text).is_err(), "{text}");
        }
    }
}
