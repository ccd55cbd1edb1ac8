//! A mail server's greeting, EHLO or else HELO, and QUIT (RFC 5321 §4.1.1).

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::dial::{self, Meter};
use super::failure::{self, Failure, Kind, Stage, Step, excerpt};
use super::{PrepareError, Target};
use crate::ctrl::health::check::Smtp;

/// Who greets.
pub(super) struct Question {
    helo: String,
}

impl Question {
    pub(super) fn new(smtp: &Smtp) -> Result<Self, PrepareError> {
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if smtp.helo.is_empty() || smtp.helo.contains(odd) {
            return Err(PrepareError::Helo(smtp.helo.clone()));
        }
        Ok(Self { helo: smtp.helo.clone() })
    }

    pub(super) async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        let stream = Meter::new(dial::tcp(target).await?, 0);
        step.enter(Stage::Greeting);
        let mut talk = Talk { stream: BufReader::with_capacity(1024, stream), line: Vec::new() };
        expect("the greeting", 220, talk.hear().await?)?;
        step.enter(Stage::Answer);
        let answer = talk.say(&format!("EHLO {}\r\n", self.helo)).await?;
        // A server that does not know EHLO, or does not like it (§3.2): what comes before it can.
        if (500..600).contains(&answer.code) {
            expect("HELO", 250, talk.say(&format!("HELO {}\r\n", self.helo)).await?)?;
        } else {
            expect("EHLO", 250, answer)?;
        }
        expect("QUIT", 221, talk.say("QUIT\r\n").await?)
    }
}

/// What a server answers: the code, and the last line.
struct Answer {
    code: u16,
    line: String,
}

fn expect(to: &str, code: u16, answer: Answer) -> Result<(), Failure> {
    if answer.code == code {
        return Ok(());
    }
    Err(Failure::new(Kind::Status, format!("{to}: {}", answer.line)))
}

struct Talk<S> {
    stream: BufReader<S>,
    line: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn say(&mut self, command: &str) -> Result<Answer, Failure> {
        self.stream.write_all(command.as_bytes()).await.map_err(|cause| Failure::of(&cause))?;
        self.hear().await
    }

    /// Reads a reply of one or more lines (§4.2.1).
    async fn hear(&mut self) -> Result<Answer, Failure> {
        loop {
            self.line.clear();
            self.stream.read_until(b'\n', &mut self.line).await.map_err(|cause| Failure::of(&cause))?;
            if !self.line.ends_with(b"\n") {
                return Err(failure::closed());
            }
            match code(&self.line) {
                Some((_, b'-')) => {}
                Some((code, _)) => return Ok(Answer { code, line: excerpt(&self.line) }),
                None => return Err(Failure::new(Kind::Protocol, format!("no SMTP reply: {}", excerpt(&self.line)))),
            }
        }
    }
}

/// A line's code, and what follows it.
fn code(line: &[u8]) -> Option<(u16, u8)> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    let code = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()))?;
    let next = *rest.first()?;
    matches!(next, b' ' | b'-' | b'\r' | b'\n').then_some((code.parse().ok()?, next))
}
