//! The words of a command line, taken apart as ipvsadm's users are used to.
//!
//! ipvsadm reads its options with popt, whose rules differ from those of the parser that millrace's own commands use: a short
//! option may be followed by its value at once (`-t192.0.2.10:80`, `-w=3`), one option has a value that may be missing (`-p`),
//! a command is an option too, and order counts: what a later option means depends on earlier ones. Hence a grammar of its own.

use super::options::{Switch, Takes};

/// An option, its value if it has one, and the last word that was read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// Which.
    pub option: Switch,
    /// Its value.
    pub value: Option<&'a str>,
    /// The word that a complaint names.
    pub word: &'a str,
}

/// Why a word cannot be read; displays as ipvsadm says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable<'a> {
    /// No option is called so.
    #[error("{0}: unknown option")]
    Unknown(&'a str),
    /// The option's value is missing.
    #[error("{0}: missing argument")]
    NoValue(&'a str),
    /// The option has no value.
    #[error("{0}: option does not take an argument")]
    Unwanted(&'a str),
}

/// A command line, read from left to right.
#[derive(Debug)]
pub struct Words<'a> {
    words: &'a [String],
    next: usize,
    /// What is left of a word of several short options.
    bundle: &'a str,
    /// Words that are no options, in their order.
    others: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// Reads these, without the program's name.
    pub fn new(words: &'a [String]) -> Self {
        Self { words, next: 0, bundle: "", others: Vec::new() }
    }

    /// The words that were no options. All of them are known once there are no more options.
    pub fn others(self) -> impl Iterator<Item = &'a str> {
        self.others.into_iter()
    }

    /// Returns the next option, if there is one more.
    pub fn option(&mut self) -> Option<Result<Given<'a>, Unreadable<'a>>> {
        if self.bundle.is_empty() {
            let word = loop {
                let word = self.word()?;
                if self.is_option(word) {
                    break word;
                }
            };
            if let Some(long) = word.strip_prefix("--") {
                return Some(self.long(word, long));
            }
            self.bundle = &word[1..];
        }
        Some(self.short())
    }

    fn word(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// Tells whether this word is one; if not, it is kept.
    fn is_option(&mut self, word: &'a str) -> bool {
        if word == "--" {
            self.others.extend(self.words[self.next..].iter().map(String::as_str));
            self.next = self.words.len();
        } else if word.len() > 1 && word.starts_with('-') {
            return true;
        } else {
            self.others.push(word);
        }
        false
    }

    fn long(&mut self, word: &'a str, long: &'a str) -> Result<Given<'a>, Unreadable<'a>> {
        let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let option = Switch::by_long_name(name).ok_or(Unreadable::Unknown(word))?;
        if option.takes() == Takes::Nothing && attached.is_some() {
            return Err(Unreadable::Unwanted(word));
        }
        self.with_value(option, word, attached)
    }

    fn short(&mut self) -> Result<Given<'a>, Unreadable<'a>> {
        // The bundle is not empty, and is a part of the word before the next.
        let word = self.words[self.next - 1].as_str();
        let mut letters = self.bundle.chars();
        let option = letters.next().and_then(Switch::by_letter).ok_or(Unreadable::Unknown(word))?;
        let rest = letters.as_str();
        self.bundle = rest.strip_prefix('=').unwrap_or(rest);
        if option.takes() == Takes::Nothing || self.bundle.is_empty() {
            return self.with_value(option, word, None);
        }
        let attached = std::mem::take(&mut self.bundle);
        self.with_value(option, word, Some(attached))
    }

    fn with_value(
        &mut self,
        option: Switch,
        word: &'a str,
        attached: Option<&'a str>,
    ) -> Result<Given<'a>, Unreadable<'a>> {
        if option.takes() == Takes::Nothing || attached.is_some() {
            return Ok(Given { option, value: attached, word });
        }
        let following = self.words.get(self.next).map(String::as_str);
        match (option.takes(), following) {
            (Takes::Value, None) => Err(Unreadable::NoValue(word)),
            (Takes::Maybe, following) if following.is_none_or(|word| word.starts_with('-')) => {
                Ok(Given { option, value: None, word })
            }
            (_, following) => {
                self.next += 1;
                Ok(Given { option, value: following, word: following.unwrap_or(word) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Switch, Option<String>);

    /// Options, the complaint that they end with, and what is no option.
    fn read(line: &str) -> (Vec<Read>, Option<String>, Vec<String>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut reader = Words::new(&words);
        let (mut given, mut wrong) = (Vec::new(), None);
        while let Some(next) = reader.option() {
            match next {
                Ok(next) => given.push((next.option, next.value.map(str::to_owned))),
                Err(error) => {
                    wrong = Some(error.to_string());
                    break;
                }
            }
        }
        (given, wrong, reader.others().map(str::to_owned).collect())
    }

    fn with(option: Switch, value: &str) -> Read {
        (option, Some(value.to_owned()))
    }

    #[test]
    fn a_value_may_stand_in_the_same_word_or_the_next() {
        use Switch::*;
        for line in ["-t 192.0.2.1:80", "-t192.0.2.1:80", "-t=192.0.2.1:80", "--tcp-service=192.0.2.1:80"] {
            assert_eq!(read(line).0, [with(TcpService, "192.0.2.1:80")], "{line}");
        }
        assert_eq!(read("-w -3").0, [with(Weight, "-3")]);
    }

    #[test]
    fn short_options_may_share_a_word() {
        use Switch::*;
        assert_eq!(read("-Lnc").0, [(List, None), (Numeric, None), (Connection, None)]);
        assert_eq!(read("-Anp300").0[..2], [(AddService, None), (Numeric, None)]);
    }

    #[test]
    fn a_persistence_may_have_no_timeout() {
        use Switch::*;
        assert_eq!(read("-p").0, [(Persistent, None)]);
        assert_eq!(read("-p -o").0, [(Persistent, None), (Ops, None)]);
        assert_eq!(read("-p 60").0, [with(Persistent, "60")]);
    }

    #[test]
    fn what_is_no_option_is_kept_for_later() {
        assert_eq!(read("a --set 1 2 -- -3").2, ["a", "1", "2", "-3"]);
    }

    #[test]
    fn complaints_name_the_word() {
        for (line, complaint) in [
            ("-Lz", "-Lz: unknown option"),
            ("--lst", "--lst: unknown option"),
            ("-A -t", "-t: missing argument"),
            ("--numeric=1", "--numeric=1: option does not take an argument"),
        ] {
            assert_eq!(read(line).1.as_deref(), Some(complaint), "{line}");
        }
    }
}
