//! The command line of ipvsadm 1.31, unchanged: `millrace ipvsadm ARGS…`, or this program by the name of ipvsadm,
//! ipvsadm-save or ipvsadm-restore.
//!
//! ```text
//! a line ─► words ─► arguments ─► Command ─► changes ─► transactions (POST /v1/changes) ─┐
//!            options   legality     │                                                   ├─► director
//!                                   └────► shown ◄── GET /v1/services, /v1/connections ─┘
//!                                            └─► layout ─► standard output
//! ```
//!
//! What it prints, complains of and returns is ipvsadm's, since scripts read that; `docs/ipvsadm.md` says where it is
//! otherwise, and why. The rules by which its options are read are its option parser's (`words`), not those of
//! millrace's own commands. It is a client of the director's API and knows nothing that another client could not.

mod address;
mod arguments;
mod changes;
mod command;
mod layout;
mod legality;
mod mistake;
mod names;
mod numbers;
mod options;
mod restore;
mod shown;
mod talk;
#[cfg(test)]
mod tests;
mod usage;
mod words;

use std::ffi::OsStr;
use std::path::Path;

use crate::ctrl::api::Client;
use names::Here;
use talk::Talk;

pub use layout::{connection_line, connections_head};

/// Which of the three programs is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `ipvsadm`
    Ipvsadm,
    /// `ipvsadm-save`: `ipvsadm -S`.
    Save,
    /// `ipvsadm-restore`: `ipvsadm -C`, then `ipvsadm -R`.
    Restore,
}

impl Program {
    /// The program that a link of this name stands for, if it is one of these.
    pub fn of(link: &OsStr) -> Option<Self> {
        match Path::new(link).file_name()?.to_str()? {
            "ipvsadm" => Some(Self::Ipvsadm),
            "ipvsadm-save" => Some(Self::Save),
            "ipvsadm-restore" => Some(Self::Restore),
            _ => None,
        }
    }

    /// Runs it with `arguments`, for the director that listens at `socket`; returns the exit status.
    pub fn run(self, arguments: &[String], socket: &Path) -> u8 {
        let names = Here::default();
        let talk = Talk::new(Client::new(socket), &names, "ipvsadm");
        match self {
            Self::Ipvsadm if arguments.is_empty() => talk.run(&["-L".to_owned()]),
            Self::Ipvsadm => talk.run(arguments),
            Self::Save => match save_arguments(arguments) {
                Some(arguments) => talk.run(&arguments),
                None => {
                    eprintln!(
                        "ipvsadm-save: prints the services as command lines\n   -n  with addresses and ports as numbers"
                    );
                    1
                }
            },
            Self::Restore => talk.replace(),
        }
    }
}

/// What `ipvsadm` is given for `ipvsadm-save`, which knows one option.
fn save_arguments(arguments: &[String]) -> Option<Vec<String>> {
    let mut words = vec!["-S".to_owned()];
    for argument in arguments.iter().filter(|argument| argument.starts_with('-')) {
        if argument != "-n" {
            return None;
        }
        words.truncate(1);
        words.push("-n".to_owned());
    }
    Some(words)
}
