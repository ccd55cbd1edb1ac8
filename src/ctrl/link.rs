//! Carrier of the kernel's interfaces below virtual ports.
//!
//! A vdev over a kernel interface says "link up" whatever happens (af_packet, af_xdp and pcap do), so a port with
//! `iface=` takes its link state from the kernel: RTM_NEWLINK and RTM_DELLINK of rtnetlink(7), in the network
//! namespace of the thread that starts to watch. An interface is up while it is there, set up and has a carrier
//! (IFF_UP and IFF_LOWER_UP, netdevice(7)). It may go away and come back: it is known by its name.
//!
//! A PCI port's link state is its driver's to tell: `Device::link`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};

use futures_util::{Stream, StreamExt};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;

use crate::dataplane::service::PortId;

/// Why the kernel's interfaces cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No socket, or it does not join the group.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[from] io::Error),
    /// The kernel does not list its interfaces.
    #[error("cannot list the kernel's interfaces: {0}")]
    List(#[from] rtnetlink::Error),
    /// The socket failed for good; the log says why.
    #[error("the netlink socket was closed")]
    Closed,
}

/// Watches the carrier of some ports' interfaces. Needs a tokio runtime, and stops when dropped.
pub struct LinkWatch {
    ports: Ports,
    changes: VecDeque<(PortId, bool)>,
    /// Whether to look at all interfaces before the next event: kept until that is done, since a caller may stop waiting.
    look_again: bool,
    handle: Handle,
    events: Events,
    connection: JoinHandle<()>,
}

type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

impl fmt::Debug for LinkWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkWatch").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl LinkWatch {
    /// Starts to watch the ports' interfaces, each named, and looks at each once.
    ///
    /// # Errors
    /// If the kernel offers no netlink socket, or does not answer on it.
    pub async fn start(ports: impl IntoIterator<Item = (PortId, String)>) -> Result<Self, LinkError> {
        let (connection, handle, messages) = new_multicast_connection(&[MulticastGroup::Link])?;
        let connection = tokio::spawn(connection);
        let events = messages.filter_map(async |(message, _)| Event::read(message.payload));
        let mut watch = Self {
            ports: Ports::new(ports),
            changes: VecDeque::new(),
            look_again: false,
            handle,
            events: Box::pin(events),
            connection,
        };
        watch.look().await?;
        watch.changes.clear();
        Ok(watch)
    }

    /// Returns each port's carrier as it is known now.
    pub fn carriers(&self) -> impl Iterator<Item = (PortId, bool)> {
        self.ports.0.iter().map(|port| (port.id, port.up))
    }

    /// Waits for the next change: a port, and whether it has a carrier now. Dropping the future loses none.
    ///
    /// # Errors
    /// If the socket fails for good.
    pub async fn changed(&mut self) -> Result<(PortId, bool), LinkError> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            if self.look_again {
                self.look().await?;
                self.look_again = false;
                continue;
            }
            match self.events.next().await {
                Some(Event::Missed) => self.look_again = true,
                Some(event) => self.changes.extend(self.ports.hear(&event)),
                None => return Err(LinkError::Closed),
            }
        }
    }

    /// Looks at all interfaces: at the start, and after the kernel had more to say than the socket could hold.
    async fn look(&mut self) -> Result<(), LinkError> {
        let mut listed = pin!(self.handle.link().get().execute());
        let mut interfaces = Vec::new();
        while let Some(message) = listed.next().await {
            interfaces.extend(Interface::read(&message?));
        }
        self.changes.extend(self.ports.see(&interfaces));
        Ok(())
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A kernel interface, as a message tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    index: u32,
    name: String,
    up: bool,
}

impl Interface {
    /// Reads a link message; `None` if it tells of something else, such as a bridge about its member.
    fn read(message: &LinkMessage) -> Option<Self> {
        if message.header.interface_family != AddressFamily::Unspec {
            return None;
        }
        let name = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        let up = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        Some(Self { index: message.header.index, name, up })
    }
}

/// What the kernel says without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// An interface is new or has changed.
    Seen(Interface),
    /// An interface is gone.
    Gone(Interface),
    /// The kernel had more to say than the socket could hold.
    Missed,
}

impl Event {
    fn read(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Self> {
        match payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Interface::read(&link).map(Self::Seen),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => Interface::read(&link).map(Self::Gone),
            NetlinkPayload::Overrun(_) => Some(Self::Missed),
            _ => None,
        }
    }
}

/// The ports and what is known of their interfaces.
#[derive(Debug, PartialEq, Eq)]
struct Ports(Vec<Port>);

#[derive(Debug, PartialEq, Eq)]
struct Port {
    id: PortId,
    interface: String,
    /// The kernel's number for the interface, while there is one of that name.
    index: Option<u32>,
    up: bool,
}

impl Ports {
    fn new(ports: impl IntoIterator<Item = (PortId, String)>) -> Self {
        Self(ports.into_iter().map(|(id, interface)| Port { id, interface, index: None, up: false }).collect())
    }

    /// Takes in one event and returns whose carrier changed.
    fn hear(&mut self, event: &Event) -> Vec<(PortId, bool)> {
        let changed = |port: &mut Port| match event {
            Event::Seen(seen) if seen.name == port.interface => port.becomes(Some(seen.index), seen.up),
            // Ours got another name: it is not ours any more.
            Event::Seen(other) | Event::Gone(other) if Some(other.index) == port.index => port.becomes(None, false),
            _ => None,
        };
        self.0.iter_mut().filter_map(changed).collect()
    }

    /// Takes in the list of all interfaces and returns whose carrier changed.
    fn see(&mut self, interfaces: &[Interface]) -> Vec<(PortId, bool)> {
        let changed = |port: &mut Port| match interfaces.iter().find(|seen| seen.name == port.interface) {
            Some(seen) => port.becomes(Some(seen.index), seen.up),
            None => port.becomes(None, false),
        };
        self.0.iter_mut().filter_map(changed).collect()
    }
}

impl Port {
    fn becomes(&mut self, index: Option<u32>, up: bool) -> Option<(PortId, bool)> {
        self.index = index;
        let before = std::mem::replace(&mut self.up, up);
        (before != up).then_some((self.id, up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAN: PortId = PortId(0);
    const LAN: PortId = PortId(1);

    fn ports() -> Ports {
        Ports::new([(WAN, "wan".to_owned()), (LAN, "lan".to_owned())])
    }

    fn interface(index: u32, name: &str, up: bool) -> Interface {
        Interface { index, name: name.to_owned(), up }
    }

    fn seen(index: u32, name: &str, up: bool) -> Event {
        Event::Seen(interface(index, name, up))
    }

    #[test]
    fn only_changes_of_ours_are_told() {
        let mut ports = ports();
        assert_eq!(ports.hear(&seen(5, "other", true)), []);
        assert_eq!(ports.hear(&seen(7, "wan", false)), []);
        assert_eq!(ports.hear(&seen(7, "wan", true)), [(WAN, true)]);
        assert_eq!(ports.hear(&seen(7, "wan", true)), []);
        assert_eq!(ports.hear(&seen(7, "wan", false)), [(WAN, false)]);
    }

    #[test]
    fn an_interface_may_go_and_come_back_under_another_number() {
        let mut ports = ports();
        ports.hear(&seen(7, "wan", true));
        assert_eq!(ports.hear(&Event::Gone(interface(8, "wan2", true))), []);
        assert_eq!(ports.hear(&Event::Gone(interface(7, "wan", true))), [(WAN, false)]);
        assert_eq!(ports.hear(&seen(9, "wan", true)), [(WAN, true)]);
    }

    #[test]
    fn a_renamed_interface_is_another() {
        let mut ports = ports();
        ports.hear(&seen(7, "wan", true));
        assert_eq!(ports.hear(&seen(7, "lan", true)), [(WAN, false), (LAN, true)]);
        assert_eq!(ports.hear(&seen(7, "old", true)), [(LAN, false)]);
    }

    #[test]
    fn a_list_settles_what_was_missed() {
        let mut ports = ports();
        ports.hear(&seen(7, "wan", true));
        let list = [interface(1, "lo", true), interface(8, "lan", true)];
        assert_eq!(ports.see(&list), [(WAN, false), (LAN, true)]);
        assert_eq!(ports.see(&list), []);
    }

    #[test]
    fn up_means_set_up_and_with_carrier() {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.attributes.push(LinkAttribute::IfName("wan".to_owned()));
        for (flags, up) in [
            (LinkFlags::empty(), false),
            (LinkFlags::Up, false),
            (LinkFlags::LowerUp, false),
            (LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running, true),
        ] {
            message.header.flags = flags;
            assert_eq!(Interface::read(&message), Some(interface(3, "wan", up)), "{flags:?}");
        }
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(Interface::read(&message), None, "a bridge's word about its member");
    }
}
