//! What an HTTP answer's body must be, and whether it is.
//!
//! Most bodies are short, and matched at once. There are expressions that take seconds for some long ones: those are matched in a
//! thread of their own, [`MATCHERS`] at a time, and nobody waits for them longer than a check may take.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;

use md5::Md5;
use regex::bytes::{Regex, RegexBuilder};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, oneshot};

use super::failure::{Failure, Kind, Stage, Step};
use super::shared::Shared;
use crate::ctrl::health::check::Body;

/// How much of a body is read, in octets.
pub(super) const BODY_OCTETS: usize = 1 << 20;
/// How large a compiled regular expression may be, in octets.
const PATTERN_OCTETS: usize = 1 << 20;
/// How long a body may be that is matched at once, in octets.
const AT_ONCE: usize = 16 << 10;
/// How many longer ones are matched at the same time.
const MATCHERS: usize = 2;

pub(super) static FREE: Semaphore = Semaphore::const_new(MATCHERS);

/// Compiles a regular expression for [`Body::Matches`], as a check does.
///
/// # Errors
/// If it is none, or too large.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_OCTETS).build()
}

/// Each expression takes some 100 kB when it is at work.
static PATTERNS: Shared<String, Regex> = Shared::new();

/// A [`Body`] made ready.
pub(super) enum Rule {
    Matches(Arc<Regex>),
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

impl Rule {
    pub(super) fn new(body: &Body) -> Result<Self, regex::Error> {
        Ok(match body {
            Body::Matches(text) => Self::Matches(PATTERNS.get(text.clone(), |text| pattern(text))?),
            Body::Md5(digest) => Self::Md5(*digest),
            Body::Sha256(digest) => Self::Sha256(*digest),
        })
    }

    /// Begins to read a body.
    pub(super) fn reading(&self) -> Reading<'_> {
        let so_far = match self {
            Self::Matches(_) => SoFar::Octets(Vec::new()),
            Self::Md5(_) => SoFar::Md5(Md5::new()),
            Self::Sha256(_) => SoFar::Sha256(Sha256::new()),
        };
        Reading { rule: self, octets: 0, so_far }
    }
}

/// A body that is being read.
pub(super) struct Reading<'a> {
    rule: &'a Rule,
    octets: usize,
    so_far: SoFar,
}

enum SoFar {
    Octets(Vec<u8>),
    Md5(Md5),
    Sha256(Sha256),
}

impl Reading<'_> {
    /// Takes the next piece of the body.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.octets += piece.len();
        if self.octets > BODY_OCTETS {
            return Err(Failure::new(Kind::Body, format!("the body has more than {BODY_OCTETS} octets")));
        }
        match &mut self.so_far {
            SoFar::Octets(octets) => octets.extend_from_slice(piece),
            SoFar::Md5(digest) => digest.update(piece),
            SoFar::Sha256(digest) => digest.update(piece),
        }
        Ok(())
    }

    /// Tells whether the whole was right.
    pub(super) async fn end(self, step: &Step) -> Result<(), Failure> {
        match (self.rule, self.so_far) {
            (Rule::Matches(regex), SoFar::Octets(octets)) => match found(regex, octets, step).await? {
                true => Ok(()),
                false => Err(Failure::new(Kind::Body, "the body does not match")),
            },
            (Rule::Md5(right), SoFar::Md5(digest)) => same("MD5", right, &digest.finalize()),
            (Rule::Sha256(right), SoFar::Sha256(digest)) => same("SHA-256", right, &digest.finalize()),
            _ => Ok(()),
        }
    }
}

async fn found(regex: &Arc<Regex>, octets: Vec<u8>, step: &Step) -> Result<bool, Failure> {
    if octets.len() <= AT_ONCE {
        return Ok(regex.is_match(&octets));
    }
    step.enter(Stage::Matcher);
    let place = FREE.acquire().await.map_err(|cause| Failure::local("no matcher", &cause))?;
    step.enter(Stage::Match);
    let (tell, told) = oneshot::channel();
    let regex = Arc::clone(regex);
    // Not the runtime's: it would wait for it when it ends.
    let matcher = thread::Builder::new().name("match".to_owned()).spawn(move || {
        let _ = tell.send(regex.is_match(&octets));
        drop(place);
    });
    matcher.map_err(|cause| Failure::local("no matcher", &cause))?;
    told.await.map_err(|cause| Failure::local("no matcher", &cause))
}

fn same(name: &str, right: &[u8], found: &[u8]) -> Result<(), Failure> {
    if right == found {
        return Ok(());
    }
    let mut text = format!("the body's {name} is ");
    for octet in found {
        let _ = write!(text, "{octet:02x}");
    }
    Err(Failure::new(Kind::Body, text))
}
