//! Does what a command asks for: requests to the director, and what is printed of its answers.

use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::mem;
use std::ops::ControlFlow;

use super::arguments;
use super::changes::{self, complaint};
use super::command::{Command, Key, Listed, Listing};
use super::layout::{self, Shown, Spoken};
use super::mistake::{Mistake, REFUSED};
use super::names::Names;
use super::restore::{Lines, Next};
use super::shown;
use super::usage::{USAGE, VERSION};
use crate::ctrl::api::{Client, ClientError};
use crate::ctrl::change::{Change, Kind, MOST, Transaction};
use crate::ctrl::connections::Filter;

/// Exit status when a service that is to be listed is not there, and of what has no other.
const FAILED: u8 = 1;
/// Exit status when there is no director to ask.
const NO_DIRECTOR: u8 = 2;

/// One run of the program.
pub struct Talk<'a> {
    client: Client,
    names: &'a dyn Names,
    /// What it calls itself in complaints.
    program: &'a str,
}

/// Why a run ends before its end.
struct Ended(u8);

type Done = Result<u8, Ended>;

/// What a command line asks for.
enum Asked {
    /// Something else is desired.
    Change(Change),
    /// Nothing is changed in what is desired.
    Other(Command),
}

impl<'a> Talk<'a> {
    /// Speaks to this director.
    pub fn new(client: Client, names: &'a dyn Names, program: &'a str) -> Self {
        Self { client, names, program }
    }

    /// Does what the words of a command line say; returns the exit status.
    pub fn run(&self, words: &[String]) -> u8 {
        let done = match self.asked(words) {
            Ok(Asked::Change(change)) => self.submit(&[change]),
            Ok(Asked::Other(Command::Restore)) => self.restore(&input(), Vec::new(), false),
            Ok(Asked::Other(command)) => self.answer(&command),
            Err(mistake) => Ok(complain(&mistake)),
        };
        done.unwrap_or_else(|ended| ended.0)
    }

    /// Restores what comes from standard input, once it is all there, in place of what the director has.
    pub fn replace(&self) -> u8 {
        self.restore(&input(), vec![Change::Clear], true).unwrap_or_else(|ended| ended.0)
    }

    fn asked(&self, words: &[String]) -> Result<Asked, Mistake> {
        let command = arguments::read(self.program, words, self.names)?;
        match changes::change(&command) {
            Ok(Some(change)) => Ok(Asked::Change(change)),
            Ok(None) => Ok(Asked::Other(command)),
            Err(text) => Err(Mistake::refused(text)),
        }
    }

    /// Does what changes nothing that is desired.
    fn answer(&self, command: &Command) -> Done {
        match command {
            Command::List(listing) => self.list(listing),
            Command::Zero(key) => self.zero(key.as_ref()),
            Command::Save { numeric } => self.save(*numeric),
            Command::Help => print(&format!("{VERSION}\n{USAGE}")),
            Command::Version => print(&format!("{VERSION}\n")),
            Command::StartDaemon(_) => Ok(refuse("Protocol not available: this director does not sync connections")),
            Command::StopDaemon(_) => Ok(refuse("No daemon is running")),
            // `--set 0 0 0`: everything stays.
            _ => Ok(0),
        }
    }

    /// Lines one after the other. Changes that follow each other go to the director together: when something else is asked
    /// for, or the next line keeps them waiting, unless `whole` says to wait for all; `pending` are those before the first.
    fn restore(&self, lines: &Lines, mut pending: Vec<Change>, whole: bool) -> Done {
        let mut status = 0;
        loop {
            let next = lines.next(!whole && !pending.is_empty());
            let asked = match &next {
                Next::Line(words) => Some(self.asked(words)),
                Next::Waiting | Next::End => None,
            };
            let asked = match asked {
                Some(Ok(Asked::Change(change))) if pending.len() < MOST => {
                    pending.push(change);
                    status = 0;
                    continue;
                }
                // What makes no sense does not part the changes around it.
                Some(Err(mistake)) if whole && !mistake.ends => {
                    status = complain(&mistake);
                    continue;
                }
                other => other,
            };
            if !pending.is_empty() {
                let submitted = self.submit(&mem::take(&mut pending))?;
                // That of the last line, which may have been a mistake.
                status = if status == 0 { submitted } else { status };
            }
            match asked {
                None if next == Next::End => return Ok(status),
                None => {}
                Some(Ok(Asked::Change(change))) => {
                    pending.push(change);
                    status = 0;
                }
                Some(Ok(Asked::Other(Command::Restore))) => return Ok(complain(&Mistake::try_help(self.program))),
                Some(Ok(Asked::Other(command))) => {
                    status = self.answer(&command)?;
                    if matches!(command, Command::Help | Command::Version) {
                        return Ok(status);
                    }
                }
                Some(Err(mistake)) => {
                    status = complain(&mistake);
                    if mistake.ends {
                        return Ok(status);
                    }
                }
            }
        }
    }

    /// Has changes made, and complains of each that is refused; returns the exit status of the last.
    fn submit(&self, changes: &[Change]) -> Done {
        let transaction = Transaction { skip_refused: true, ..Transaction::new(changes.iter().cloned()) };
        match self.client.change(&transaction) {
            Ok(changed) => {
                for refused in &changed.refused {
                    if let Some(change) = refused.change.and_then(|place| changes.get(place)) {
                        refuse(&complaint(change, refused));
                    }
                }
                let last = changed.refused.last().and_then(|refused| refused.change);
                Ok(if last.is_some_and(|place| place + 1 == changes.len()) { REFUSED } else { 0 })
            }
            // All of them: there is no room for what they make together.
            Err(ClientError::Refused(refusal)) => Ok(refuse(&refusal.error)),
            Err(error) => Err(lost(&error)),
        }
    }

    /// Asks for all services, or for one; `None` if there is no such one.
    fn shown(&self, only: Option<&Key>, how: shown::As) -> Result<Option<Shown>, Ended> {
        let key = only.map(changes::key);
        let services = match self.client.services(key.as_ref()) {
            Ok(services) if key.is_some() && services.services.is_empty() => return Ok(None),
            Ok(services) => services,
            Err(ClientError::Refused(_)) if key.is_some() => return Ok(None),
            Err(error) => return Err(lost(&error)),
        };
        match shown::all(&services, how) {
            Ok(shown) => Ok(Some(shown)),
            Err(error) => {
                eprintln!("{error}");
                Err(Ended(FAILED))
            }
        }
    }

    fn spoken(&self, numeric: bool) -> Spoken<'_> {
        if numeric { Spoken::Numbers } else { Spoken::Names(self.names) }
    }

    fn list(&self, listing: &Listing) -> Done {
        match listing.what {
            Listed::Connections => return self.connections(listing),
            Listed::Timeouts => return self.timeouts(),
            // None runs.
            Listed::Daemons => return Ok(0),
            Listed::All | Listed::Service(_) => {}
        }
        let only = match &listing.what {
            Listed::Service(key) => Some(key),
            _ => None,
        };
        let Some(mut shown) = self.shown(only, shown::As::TheyRun)? else {
            eprintln!("No such service");
            return Ok(FAILED);
        };
        if listing.sorted {
            layout::sort(&mut shown);
        }
        print(&layout::listing(&shown, listing, self.spoken(listing.numeric)))
    }

    fn save(&self, numeric: bool) -> Done {
        let mut shown = self.shown(None, shown::As::Desired)?.unwrap_or_default();
        layout::sort(&mut shown);
        let (text, left_out) = layout::save(&shown, self.spoken(numeric));
        for service in left_out {
            eprintln!("not saved, there is no option for it: {service}");
        }
        print(&text)
    }

    fn timeouts(&self) -> Done {
        let config = self.client.config().map_err(|error| lost(&error))?.config();
        match config.map(|config| config.timeouts) {
            Ok(it) => print(&format!("Timeout (tcp tcpfin udp): {} {} {}\n", it.tcp, it.tcp_fin, it.udp)),
            Err(error) => {
                eprintln!("{error}");
                Ok(FAILED)
            }
        }
    }

    fn connections(&self, listing: &Listing) -> Done {
        let spoken = self.spoken(listing.numeric);
        let mut output = BufWriter::new(io::stdout().lock());
        let mut written = output.write_all(layout::connections_head(listing.engines).as_bytes());
        let asked = self.client.connections(&Filter::default(), |connection| {
            if written.is_ok() {
                written = output.write_all(layout::connection_row(&connection, spoken).as_bytes());
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        asked.map_err(|error| lost(&error))?;
        ended(written.and_then(|()| output.flush()))
    }

    fn zero(&self, key: Option<&Key>) -> Done {
        match self.client.zero(key.map(changes::key).as_ref()) {
            Ok(_) => Ok(0),
            Err(ClientError::Refused(refusal)) if refusal.kind == Some(Kind::NoSuchService) => {
                Ok(refuse("No such service"))
            }
            Err(error) => Err(lost(&error)),
        }
    }
}

fn input() -> Lines {
    Lines::of(BufReader::new(io::stdin()))
}

fn complain(mistake: &Mistake) -> u8 {
    eprintln!("{}", mistake.text);
    mistake.status
}

fn refuse(text: &str) -> u8 {
    eprintln!("{text}");
    REFUSED
}

/// Says that there is no answer, in the words of an ipvsadm that finds no IPVS.
fn lost(error: &ClientError) -> Ended {
    eprintln!("Can't initialize ipvs: {error}");
    Ended(NO_DIRECTOR)
}

fn print(text: &str) -> Done {
    ended(io::stdout().write_all(text.as_bytes()))
}

/// A reader that has seen enough is no mistake.
fn ended(written: io::Result<()>) -> Done {
    match written {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            eprintln!("standard output: {cause}");
            Ok(FAILED)
        }
        _ => Ok(0),
    }
}
