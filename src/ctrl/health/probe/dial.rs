//! Connections to servers: from which address, how they end, and how much is read from them.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::Target;
use super::failure::{Failure, Kind};

/// What a server may say beside an HTTP body: TLS handshake, heads, chunk sizes; in octets.
const OVERHEAD: usize = 256 << 10;

/// Connects to `target`. The connection ends with a reset, at once, when it is dropped.
pub(super) async fn tcp(target: &Target) -> Result<TcpStream, Failure> {
    let socket = match target.address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|cause| Failure::local("no socket", &cause))?;
    // Without it, whoever closes first keeps the port for a minute, and 28,000 are all there are.
    socket.set_zero_linger().map_err(|cause| Failure::local("no reset at the end", &cause))?;
    if let Some(local) = target.bind {
        // The port is chosen when the connection is made: it need be free for this server only. But what a stand-in answers is known
        // by the port, which must be this socket's alone.
        let bound = setsockopt(&socket, sockopt::IpBindAddressNoPort, &target.stands_for.is_none())
            .map_err(io::Error::from)
            .and_then(|()| socket.bind(SocketAddr::new(local, 0)));
        bound.map_err(|cause| Failure::new(Kind::Local, format!("cannot ask from {local}: {cause}")))?;
    }
    socket.connect(target.address).await.map_err(|cause| Failure::of(&cause))
}

/// Has what is written sent at once, also while something before it is not acknowledged.
pub(super) fn hurry(stream: &TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true).map_err(|cause| Failure::local("no TCP_NODELAY", &cause))
}

/// Waits for `exchange`, for which `connection` moves the octets. Whatever ends the connection, the exchange hears of.
pub(super) async fn over<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let (mut exchange, mut connection, mut ended) = (pin!(exchange), pin!(connection), false);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        ended = ended || connection.as_mut().poll(cx).is_ready();
        exchange.as_mut().poll(cx)
    })
    .await
}

/// A stream that so many octets can be read from and no more: whatever a server sends, and on whichever layer above, it ends.
pub(super) struct Meter<S> {
    stream: S,
    left: usize,
    most: usize,
}

/// Says that a server sent more octets than it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMuch(pub(super) usize);

impl<S> Meter<S> {
    /// Lets a body of `body` octets pass, and what goes with it.
    pub(super) fn new(stream: S, body: usize) -> Self {
        let most = body + OVERHEAD;
        Self { stream, left: most, most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(TooMuch(self.most))));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Sends nothing: the reset will do.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} octets", self.0)
    }
}

impl Error for TooMuch {}
