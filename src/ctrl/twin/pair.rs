//! A twin of two ends: what the tap driver does not carry, packets above 1,500 octets, takes a veth pair.
//!
//! ```text
//!   the host ── wan0 ═══ wan0.in ── packet sockets of net_af_packet ── workers
//! ```
//! The host has the outer end, by the twin's name. The inner end is nobody's but the driver's: it has no addresses, is muted like any
//! other carrier ([`Mutes`](crate::ctrl::mute::Mutes)), and set down while the outer end is to show no carrier. Both carry whole checksums: what the
//! kernel leaves to a card's hardware nobody would make up for here.

use std::process::Command;

use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute};
use rtnetlink::{LinkUnspec, LinkVeth};

use super::TwinError;
use super::kernel::{Kernel, Link, refusal};

/// The kernel's word for a protocol that it does without: IPv6, here.
const NO_SUCH_FAMILY: i32 = -97;

impl Kernel {
    /// Makes the pair where it is not there yet, and sees that it is as it must be; `outer` is what there is by the twin's name.
    pub(super) async fn pair(&self, twin: &str, inner: &str, mtu: u16, outer: Option<&Link>) -> Result<(), TwinError> {
        let end = self.link(inner).await?;
        match (outer, &end) {
            (None, None) => {
                let pair = LinkVeth::new(twin, inner).build();
                self.handle.link().add(pair).execute().await.map_err(refusal(twin, "make the pair"))?;
            }
            (Some(outer), Some(end)) if outer.is(&InfoKind::Veth) && outer.peer() == Some(end.index()) => {}
            (Some(_), _) => return Err(TwinError::NotATwin(twin.to_owned(), "veth pair with its other end here")),
            (None, Some(_)) => return Err(TwinError::NotATwin(inner.to_owned(), "end of the twin's pair")),
        }
        for name in [twin, inner] {
            whole_checksums(name).map_err(|reason| TwinError::Checksums { twin: twin.to_owned(), reason })?;
            let size = LinkUnspec::new_with_name(name).mtu(mtu.into());
            self.set(size, twin, &format!("set the MTU of {name} to {mtu}")).await?;
        }
        let end = self.link(inner).await?.ok_or_else(|| TwinError::Gone(inner.to_owned()))?;
        self.silence(twin, &end).await?;
        self.set(LinkUnspec::new_with_index(end.index()).up(), twin, "set its inner end up").await
    }

    /// Has the kernel say nothing by itself on an inner end.
    async fn silence(&self, twin: &str, end: &Link) -> Result<(), TwinError> {
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let quiet = LinkUnspec::new_with_index(end.index());
        let quiet = quiet.append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![mode]));
        match self.handle.link().set(quiet.build()).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_FAMILY => Ok(()),
            done => done.map_err(refusal(twin, "silence its inner end")),
        }
    }
}

/// Has the kernel finish the checksums of what it sends on an interface, and cut it to size: there is no netlink message for it in
/// the libraries that we use.
fn whole_checksums(interface: &str) -> Result<(), String> {
    match Command::new("ethtool").args(["-K", interface, "tx", "off"]).output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("ethtool: {}", String::from_utf8_lossy(&done.stderr).trim())),
        Err(cause) => Err(format!("ethtool (package ethtool) does not run: {cause}")),
    }
}
