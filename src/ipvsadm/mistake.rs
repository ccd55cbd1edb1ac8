//! What is wrong with a command line, and how the program ends then.

/// Exit status of every complaint of ipvsadm's own.
const USAGE: u8 = 2;
/// Exit status where ipvsadm returns -1: of its option parser's complaints, and of what was refused.
pub const REFUSED: u8 = 255;

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is printed on standard error.
    pub text: String,
    /// How the program ends.
    pub status: u8,
    /// Whether a restore ends with it too.
    pub ends: bool,
}

impl Mistake {
    /// One of ipvsadm's own complaints.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: USAGE, ends: true }
    }

    /// A word that its option parser cannot read: a restore goes on with the next line.
    pub fn unreadable(word: &super::words::Unreadable<'_>) -> Self {
        Self { text: word.to_string(), status: REFUSED, ends: false }
    }

    /// What the director cannot be asked for: to ipvsadm, a refusal of the kernel's.
    pub fn refused(text: &str) -> Self {
        Self { text: text.to_owned(), status: REFUSED, ends: false }
    }

    /// The line does not begin with a command.
    pub fn try_help(program: &str) -> Self {
        let text = format!("Try `{program} -h' or '{program} --help' for more information.");
        Self { text, status: REFUSED, ends: true }
    }
}
