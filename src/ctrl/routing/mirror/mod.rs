//! The host's routes by twins as the director's, whoever sets them: BIRD, FRR, `ip route`.
//!
//! The kernel tells of each route and neighbour that comes or goes. News are gathered for a moment, and for nine times as long as
//! the last took to be taken in, but not longer than a second: a full table that arrives is a few changes of the director's, not
//! one for each route, and control has time for all else. All there is is looked at at the start; when the kernel had more to say than the socket
//! could hold; when a twin or an address of it comes or goes, since the kernel forgets routes without a word then; and once a
//! minute, as BIRD does, in case that something else was missed.

mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use log::{error, warn};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteType};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{
    Error, Handle, MulticastGroup, RouteMessageBuilder, new_connection_with_strict_check, new_multicast_connection,
};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use self::read::Reader;
use super::learned::News;
use crate::ctrl::config::{Config, Mirror};
use crate::ctrl::director::Running;

/// How long news are gathered.
const GATHERING: Duration = Duration::from_millis(30);
/// How long until all is looked at when the kernel had too much to say: it may have more.
const OVERRUN: Duration = Duration::from_millis(300);
/// How often all is looked at; BIRD's default.
const LOOK: Duration = Duration::from_secs(60);
/// How long until it is tried again after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// After news were taken in, so many times as long as that took until the next are, and at most a second.
const REST: u32 = 9;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Room for what the kernel has to say, in octets: some ten thousand routes at once.
const ROOM: usize = 16 << 20;
/// The kernel's word for a routing table that nothing is in.
const NO_SUCH_TABLE: i32 = -2;

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Mirrors what the host's kernel says to `running`, until the socket fails for good.
pub async fn follow(mut kernel: Kernel, running: Arc<Running>) {
    let mut rested = Instant::now();
    while let Some(news) = kernel.news(rested).await {
        let (began, director) = (Instant::now(), Arc::clone(&running));
        if let Err(failed) = spawn_blocking(move || director.learn(news)).await {
            error!("routes: the host's are not mirrored: {failed}");
        }
        rested = Instant::now() + LONGEST_REST.min(began.elapsed() * REST);
    }
    error!("routes: the host's are not mirrored any more: the netlink socket was closed");
}

/// Listens to the kernel. Needs a tokio runtime, and stops when dropped.
pub struct Kernel {
    reader: Reader,
    wanted: Mirror,
    /// To ask for all there is.
    handle: Handle,
    told: Pin<Box<dyn Stream<Item = Message> + Send>>,
    gathered: Vec<News>,
    /// When all is to be looked at.
    look: Instant,
    connections: [JoinHandle<()>; 2],
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Begins to listen for what is `wanted`.
    ///
    /// # Errors
    /// If the kernel offers no netlink socket.
    pub fn open(config: &Config, wanted: &Mirror) -> io::Result<Self> {
        let reader = Reader::new(config, wanted.clone());
        let mut groups =
            vec![MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route, MulticastGroup::Neigh];
        if reader.has_ipv6() {
            groups.extend([MulticastGroup::Ipv6Ifaddr, MulticastGroup::Ipv6Route]);
        }
        let (mut connection, _, told) = new_multicast_connection(&groups)?;
        // With less all must be looked at more often.
        let _ = set_socket_recv_buffer_size_force(connection.socket_mut().socket_ref(), ROOM);
        let (asking, handle, _) = new_connection_with_strict_check()?;
        Ok(Self {
            reader,
            wanted: wanted.clone(),
            handle,
            told: Box::pin(told.map(|(message, _)| message)),
            gathered: Vec::new(),
            look: Instant::now(),
            connections: [tokio::spawn(connection), tokio::spawn(asking)],
        })
    }

    /// Waits for news, and gathers them for a moment, at least until `rested`; all there is, when it is time to look. `None` if
    /// the socket failed for good. Dropping the future loses none.
    pub async fn news(&mut self, rested: Instant) -> Option<Vec<News>> {
        loop {
            while self.gathered.is_empty() && Instant::now() < self.look {
                self.listen(self.look).await?;
            }
            let until = rested.max(Instant::now() + GATHERING);
            while Instant::now() < until {
                self.listen(until).await?;
            }
            if Instant::now() >= self.look {
                match self.all().await {
                    // What was told meanwhile is in it.
                    Ok(all) => self.gathered = vec![all],
                    Err(error) => {
                        warn!("routes: the kernel does not list the host's: {error}");
                        self.look = Instant::now() + AGAIN;
                    }
                }
            }
            if !self.gathered.is_empty() {
                return Some(mem::take(&mut self.gathered));
            }
        }
    }

    /// Takes in one message, or none until a moment has come. `None` if there will be none any more.
    async fn listen(&mut self, until: Instant) -> Option<()> {
        if let Ok(message) = timeout_at(until, self.told.next()).await {
            self.hear(&message?);
        }
        Some(())
    }

    fn hear(&mut self, message: &Message) {
        use RouteNetlinkMessage::*;
        let told = match &message.payload {
            NetlinkPayload::InnerMessage(told) => told,
            NetlinkPayload::Overrun(_) => return self.look_in(OVERRUN),
            _ => return,
        };
        let (reader, news) = (&mut self.reader, &mut self.gathered);
        match told {
            NewRoute(route) | DelRoute(route) => {
                let (flags, gone) = (message.header.flags, matches!(told, DelRoute(_)));
                news.extend(if gone { reader.went(route) } else { reader.came(route, flags) });
                if reader.has_ipv6() && Reader::is_part(route, flags, gone) {
                    self.look_in(OVERRUN);
                }
            }
            NewNeighbour(neighbor) => {
                news.extend(reader.neighbor(neighbor).map(|(station, mac)| News::Neighbor(station, mac)));
            }
            DelNeighbour(neighbor) => {
                news.extend(reader.neighbor(neighbor).map(|(station, _)| News::Neighbor(station, None)));
            }
            NewLink(link) if reader.link(link, false) => self.look_in(Duration::ZERO),
            DelLink(link) if reader.link(link, true) => self.look_in(Duration::ZERO),
            NewAddress(address) | DelAddress(address) if reader.is_twin(address.header.index) => {
                self.look_in(Duration::ZERO);
            }
            _ => {}
        }
    }

    fn look_in(&mut self, time: Duration) {
        self.look = self.look.min(Instant::now() + time);
    }

    /// Looks at all there is.
    async fn all(&mut self) -> Result<News, Error> {
        self.reader.forget_links();
        let mut links = pin!(self.handle.link().get().execute());
        while let Some(link) = links.try_next().await? {
            self.reader.link(&link, false);
        }
        let (mut routes, mut neighbors) = (Vec::new(), Vec::new());
        for question in self.questions() {
            let family = question.header.address_family;
            let mut listed = pin!(self.handle.route().get(question).execute());
            loop {
                match listed.try_next().await {
                    Ok(Some(route)) => routes.extend(self.reader.listed(&route)),
                    Ok(None) => break,
                    Err(Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_TABLE => break,
                    Err(error) => return Err(error),
                }
            }
            if self.wanted.neighbors {
                let mut listed = pin!(self.handle.neighbours().get().set_address_family(family).execute());
                while let Some(neighbor) = listed.try_next().await? {
                    neighbors.extend(self.reader.neighbor(&neighbor).and_then(|(station, mac)| Some((station, mac?))));
                }
            }
        }
        self.look = Instant::now() + LOOK;
        Ok(News::All(routes, neighbors))
    }

    /// What is asked to list the routes of each family. As it begins, a builder asks for static unicast ones only.
    fn questions(&self) -> Vec<RouteMessage> {
        fn all<T>(builder: RouteMessageBuilder<T>, table: u32) -> RouteMessage {
            builder.protocol(RouteProtocol::Unspec).kind(RouteType::Unspec).table_id(table).build()
        }
        let mut questions = vec![all(RouteMessageBuilder::<Ipv4Addr>::new(), self.wanted.table)];
        if self.reader.has_ipv6() {
            questions.push(all(RouteMessageBuilder::<Ipv6Addr>::new(), self.wanted.table));
        }
        questions
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connections.iter().for_each(JoinHandle::abort);
    }
}
