//! The address resolution protocol (RFC 826).
//!
//! ```text
//!  0     2     4    5    6     8        14       18       24       28
//! +-----+-----+----+----+-----+--------+--------+--------+--------+
//! |htype|ptype|hlen|plen|oper |  sha   |  spa   |  tha   |  tpa   |   lengths as for IPv4 over Ethernet
//! +-----+-----+----+----+-----+--------+--------+--------+--------+
//! ```
//! [`Packet`] shows any pair of address lengths, [`Repr`] only IPv4 over Ethernet.

use std::net::Ipv4Addr;

use super::ethernet::{self, EtherType};
use super::{Error, array_at, put_u16, u16_at};

/// The only hardware type here: Ethernet (IANA "ARP Parameters").
pub const HARDWARE_ETHERNET: u16 = 1;

/// Length of a message about IPv4 over Ethernet, in octets.
pub const OCTETS: usize = 28;

/// What an ARP message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Asks for the hardware address of the target.
    Request,
    /// Tells the hardware address of the sender.
    Reply,
    /// Any other operation.
    Unknown(u16),
}

impl From<u16> for Operation {
    #[inline]
    fn from(number: u16) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Reply,
            other => Self::Unknown(other),
        }
    }
}

impl From<Operation> for u16 {
    #[inline]
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Request => 1,
            Operation::Reply => 2,
            Operation::Unknown(other) => other,
        }
    }
}

/// A view over an ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use std::ops::Range;

    pub const HARDWARE_TYPE: usize = 0;
    pub const PROTOCOL_TYPE: usize = 2;
    pub const HARDWARE_LENGTH: usize = 4;
    pub const PROTOCOL_LENGTH: usize = 5;
    pub const OPERATION: usize = 6;
    pub const ADDRESSES: usize = 8;

    pub fn source_hardware(hardware: usize) -> Range<usize> {
        ADDRESSES..ADDRESSES + hardware
    }

    pub fn source_protocol(hardware: usize, protocol: usize) -> Range<usize> {
        let start = source_hardware(hardware).end;
        start..start + protocol
    }

    pub fn target_hardware(hardware: usize, protocol: usize) -> Range<usize> {
        let start = source_protocol(hardware, protocol).end;
        start..start + hardware
    }

    pub fn target_protocol(hardware: usize, protocol: usize) -> Range<usize> {
        let start = target_hardware(hardware, protocol).end;
        start..start + protocol
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. [`Packet::set_hardware_octets`] and [`Packet::set_protocol_octets`] void that
    /// promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the buffer ends before the four addresses do.
    pub fn check_len(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < field::ADDRESSES || length < self.target_protocol_range().end {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    fn target_protocol_range(&self) -> std::ops::Range<usize> {
        field::target_protocol(self.hardware_octets().into(), self.protocol_octets().into())
    }

    /// Returns the type of the hardware addresses.
    #[inline]
    pub fn hardware_type(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::HARDWARE_TYPE)
    }

    /// Returns the type of the protocol addresses.
    #[inline]
    pub fn protocol_type(&self) -> EtherType {
        u16_at(self.buffer.as_ref(), field::PROTOCOL_TYPE).into()
    }

    /// Returns the length of a hardware address, in octets.
    #[inline]
    pub fn hardware_octets(&self) -> u8 {
        self.buffer.as_ref()[field::HARDWARE_LENGTH]
    }

    /// Returns the length of a protocol address, in octets.
    #[inline]
    pub fn protocol_octets(&self) -> u8 {
        self.buffer.as_ref()[field::PROTOCOL_LENGTH]
    }

    /// Returns the operation.
    #[inline]
    pub fn operation(&self) -> Operation {
        u16_at(self.buffer.as_ref(), field::OPERATION).into()
    }

    /// Returns the sender's hardware address.
    pub fn source_hardware(&self) -> &[u8] {
        &self.buffer.as_ref()[field::source_hardware(self.hardware_octets().into())]
    }

    /// Returns the sender's protocol address.
    pub fn source_protocol(&self) -> &[u8] {
        let range = field::source_protocol(self.hardware_octets().into(), self.protocol_octets().into());
        &self.buffer.as_ref()[range]
    }

    /// Returns the target's hardware address, which a request leaves unspecified.
    pub fn target_hardware(&self) -> &[u8] {
        let range = field::target_hardware(self.hardware_octets().into(), self.protocol_octets().into());
        &self.buffer.as_ref()[range]
    }

    /// Returns the target's protocol address.
    pub fn target_protocol(&self) -> &[u8] {
        &self.buffer.as_ref()[self.target_protocol_range()]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the type of the hardware addresses.
    pub fn set_hardware_type(&mut self, hardware_type: u16) {
        put_u16(self.buffer.as_mut(), field::HARDWARE_TYPE, hardware_type);
    }

    /// Sets the type of the protocol addresses.
    pub fn set_protocol_type(&mut self, protocol_type: EtherType) {
        put_u16(self.buffer.as_mut(), field::PROTOCOL_TYPE, protocol_type.into());
    }

    /// Sets the length of a hardware address, in octets. Moves the other addresses: call it before setting them.
    pub fn set_hardware_octets(&mut self, octets: u8) {
        self.buffer.as_mut()[field::HARDWARE_LENGTH] = octets;
    }

    /// Sets the length of a protocol address, in octets. Moves the other addresses: call it before setting them.
    pub fn set_protocol_octets(&mut self, octets: u8) {
        self.buffer.as_mut()[field::PROTOCOL_LENGTH] = octets;
    }

    /// Sets the operation.
    pub fn set_operation(&mut self, operation: Operation) {
        put_u16(self.buffer.as_mut(), field::OPERATION, operation.into());
    }

    /// Sets the sender's hardware address.
    ///
    /// # Panics
    /// If `address` is not of the length set.
    pub fn set_source_hardware(&mut self, address: &[u8]) {
        let range = field::source_hardware(self.hardware_octets().into());
        self.buffer.as_mut()[range].copy_from_slice(address);
    }

    /// Sets the sender's protocol address.
    ///
    /// # Panics
    /// If `address` is not of the length set.
    pub fn set_source_protocol(&mut self, address: &[u8]) {
        let range = field::source_protocol(self.hardware_octets().into(), self.protocol_octets().into());
        self.buffer.as_mut()[range].copy_from_slice(address);
    }

    /// Sets the target's hardware address.
    ///
    /// # Panics
    /// If `address` is not of the length set.
    pub fn set_target_hardware(&mut self, address: &[u8]) {
        let range = field::target_hardware(self.hardware_octets().into(), self.protocol_octets().into());
        self.buffer.as_mut()[range].copy_from_slice(address);
    }

    /// Sets the target's protocol address.
    ///
    /// # Panics
    /// If `address` is not of the length set.
    pub fn set_target_protocol(&mut self, address: &[u8]) {
        let range = self.target_protocol_range();
        self.buffer.as_mut()[range].copy_from_slice(address);
    }
}

/// A message about IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What it wants.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub source_hardware: ethernet::Address,
    /// The sender's IPv4 address; unspecified in a probe (RFC 5227 §2.1.1).
    pub source_protocol: Ipv4Addr,
    /// The target's Ethernet address; of no meaning in a request.
    pub target_hardware: ethernet::Address,
    /// The target's IPv4 address.
    pub target_protocol: Ipv4Addr,
}

impl Repr {
    /// Reads a message. Whether its addresses make sense is the reader's to judge.
    ///
    /// # Errors
    /// [`Error::Type`] if it is not about IPv4 over Ethernet, [`Error::Length`] if an address length is not theirs.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        if packet.hardware_type() != HARDWARE_ETHERNET || packet.protocol_type() != EtherType::Ipv4 {
            return Err(Error::Type);
        }
        if packet.hardware_octets() != 6 || packet.protocol_octets() != 4 {
            return Err(Error::Length);
        }
        Ok(Self {
            operation: packet.operation(),
            source_hardware: array_at(packet.source_hardware(), 0),
            source_protocol: array_at::<4>(packet.source_protocol(), 0).into(),
            target_hardware: array_at(packet.target_hardware(), 0),
            target_protocol: array_at::<4>(packet.target_protocol(), 0).into(),
        })
    }

    /// Writes the message into the first [`OCTETS`] octets of `packet`.
    ///
    /// # Panics
    /// If the buffer is shorter.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_hardware_type(HARDWARE_ETHERNET);
        packet.set_protocol_type(EtherType::Ipv4);
        packet.set_hardware_octets(6);
        packet.set_protocol_octets(4);
        packet.set_operation(self.operation);
        packet.set_source_hardware(&self.source_hardware);
        packet.set_source_protocol(&self.source_protocol.octets());
        packet.set_target_hardware(&self.target_hardware);
        packet.set_target_protocol(&self.target_protocol.octets());
    }
}

#[cfg(test)]
mod tests;
