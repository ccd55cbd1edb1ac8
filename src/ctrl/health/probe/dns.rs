//! A question to a name server, over UDP (RFC 1035 §4).
//!
//! The right answer is to this very question, whole, without an error, and has a record of the type asked for. Only its header,
//! its question and its answer records are looked at.

use domain::base::iana::{Opcode, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};

use super::datagram::{self, Carrier};
use super::failure::{Failure, Kind, Stage, Step};
use super::{PrepareError, Target};
use crate::ctrl::health::check::Dns;

/// The longest answer that a server sends over UDP to who does not say that it takes more (RFC 1035 §4.2.1), and then some.
const ANSWER_OCTETS: usize = 4096;

/// A question.
pub(super) struct Question {
    name: Name<Vec<u8>>,
    record: Rtype,
}

impl Question {
    pub(super) fn new(dns: &Dns) -> Result<Self, PrepareError> {
        let name = dns.name.parse().map_err(|_| PrepareError::Dns { what: "name", value: dns.name.clone() })?;
        let record = dns.record.parse().map_err(|_| PrepareError::Dns { what: "record", value: dns.record.clone() })?;
        Ok(Self { name, record })
    }

    pub(super) async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        let socket = datagram::open(Carrier::Udp, target)?;
        step.enter(Stage::Answer);
        let id = fastrand::u16(..);
        let request = self.request(id).map_err(|cause| Failure::local("no question", &cause))?;
        datagram::send(&socket, &request).await?;
        let mut buffer = vec![0; ANSWER_OCTETS];
        self.judge(id, datagram::receive(&socket, &mut buffer).await?)
    }

    pub(super) fn request(&self, id: u16) -> Result<Vec<u8>, domain::base::message_builder::PushError> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        let mut question = builder.question();
        question.push((&self.name, self.record))?;
        Ok(question.finish())
    }

    /// Tells whether `octets` are the right answer to the question with this id.
    pub(super) fn judge(&self, id: u16, octets: &[u8]) -> Result<(), Failure> {
        let wrong = |what: &'static str| Failure::new(Kind::Protocol, what);
        let garbled = |_| wrong("the answer is garbled");
        let message = Message::from_octets(octets).map_err(|_| wrong("the answer is garbled"))?;
        let header = message.header();
        if header.id() != id {
            return Err(wrong("an answer to another question (id)"));
        }
        if !header.qr() || header.opcode() != Opcode::QUERY {
            return Err(wrong("a question instead of an answer"));
        }
        if header.tc() {
            return Err(wrong("the answer is truncated"));
        }
        if header.rcode() != Rcode::NOERROR {
            return Err(Failure::new(Kind::Status, format!("the server says {}", header.rcode())));
        }
        let question = message.sole_question().map_err(garbled)?;
        if question.qname() != &self.name || question.qtype() != self.record {
            return Err(wrong("an answer to another question"));
        }
        for record in message.answer().map_err(garbled)? {
            if record.map_err(garbled)?.rtype() == self.record || self.record == Rtype::ANY {
                return Ok(());
            }
        }
        Err(Failure::new(Kind::Body, format!("no {} record in the answer", self.record)))
    }
}
