//! The kernel's interfaces, their addresses and their carriers, by rtnetlink(7).

use std::io;
use std::net::IpAddr;
use std::pin::pin;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, new_connection};
use tokio::task::JoinHandle;

use super::TwinError;

/// What addresses that the director has set bear as their origin (IFA_PROTO, as `ip -d address` shows it).
const OURS: AddressProtocol = AddressProtocol::Other(0x6d);

/// The kernel's word for an interface that is not there.
const NO_SUCH_DEVICE: i32 = -19;

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct Link(LinkMessage);

impl Link {
    pub fn index(&self) -> u32 {
        self.0.header.index
    }

    pub fn is(&self, kind: &InfoKind) -> bool {
        let infos = self.0.attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        });
        infos.flatten().any(|info| matches!(info, LinkInfo::Kind(known) if known == kind))
    }

    /// The interface at the other end, by its index.
    pub fn peer(&self) -> Option<u32> {
        self.0.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(*index),
            _ => None,
        })
    }

    pub fn has_carrier(&self) -> bool {
        self.0.header.flags.contains(LinkFlags::LowerUp)
    }

    pub fn mac(&self) -> Option<&[u8]> {
        self.0.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(octets) => Some(octets.as_slice()),
            _ => None,
        })
    }
}

pub(super) fn refusal(twin: &str, action: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> TwinError {
    let (twin, action) = (twin.to_owned(), action.into());
    move |error| {
        let cause = match error {
            rtnetlink::Error::NetlinkError(code) => code.to_io(),
            other => io::Error::other(other.to_string()),
        };
        TwinError::Refused { twin, action, cause }
    }
}

/// A netlink socket. Needs a tokio runtime.
#[derive(Debug)]
pub(super) struct Kernel {
    pub handle: Handle,
    connection: JoinHandle<()>,
}

impl Kernel {
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _) = new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Finds an interface.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, TwinError> {
        let mut found = pin!(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(link) => Ok(link.map(Link)),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_DEVICE => Ok(None),
            Err(cause) => Err(refusal(name, "look at it")(cause)),
        }
    }

    /// Changes an interface.
    pub async fn set(&self, change: LinkMessageBuilder<LinkUnspec>, twin: &str, action: &str) -> Result<(), TwinError> {
        self.handle.link().set(change.build()).execute().await.map_err(refusal(twin, action))
    }

    /// Gives an interface the addresses that it lacks, and takes those away that a configuration of former times gave it, or gave to
    /// an interface that was the twin then.
    pub async fn address(&self, twin: &str, index: u32, wanted: &[IpNet]) -> Result<(), TwinError> {
        let listed: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refusal(twin, "list the addresses there are"))?;
        let has = |address: &AddressMessage| address.header.index == index;
        for old in listed.iter().filter(|old| is_ours(old)) {
            let is_wanted = net(old).is_some_and(|net| wanted.contains(&net));
            if has(old) == is_wanted {
                continue;
            }
            let address = net(old).map_or_else(String::new, |net| net.to_string());
            let action = if has(old) {
                format!("take {address} away")
            } else if is_wanted {
                log::info!("twin {twin}: takes {address} from the interface that had it before");
                format!("take {address} from the interface that had it before")
            } else {
                continue;
            };
            self.handle.address().del(old.clone()).execute().await.map_err(refusal(twin, action))?;
        }
        let known = |new: &IpNet| listed.iter().any(|old| has(old) && net(old) == Some(*new));
        for new in wanted.iter().filter(|new| !known(new)) {
            let mut request = self.handle.address().add(index, new.addr(), new.prefix_len());
            request.message_mut().attributes.push(AddressAttribute::Protocol(OURS));
            request.execute().await.map_err(refusal(twin, format!("give it {new}")))?;
        }
        Ok(())
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn is_ours(address: &AddressMessage) -> bool {
    address.attributes.contains(&AddressAttribute::Protocol(OURS))
}

/// The address that a message tells, with its prefix; a point-to-point address is told as IFA_LOCAL.
fn net(message: &AddressMessage) -> Option<IpNet> {
    let told = |local: bool| {
        message.attributes.iter().find_map(move |attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address: IpAddr = told(true).or_else(|| told(false))?;
    IpNet::new(address, message.header.prefix_len).ok()
}
