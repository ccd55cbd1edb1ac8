//! Command lines from standard input: `-R`, and what `ipvsadm-restore` does.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How long changes that have come wait for more.
pub const PATIENCE: Duration = Duration::from_millis(20);
/// Lines that may have been read and not looked at.
const AHEAD: usize = 4096;

/// Lines as they come.
#[derive(Debug)]
pub struct Lines(Receiver<String>);

/// What there is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(Vec<String>),
    /// None yet.
    Waiting,
    /// No more.
    End,
}

impl Lines {
    /// Reads `input` on a thread of its own, to the end.
    pub fn of(input: impl BufRead + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(AHEAD);
        thread::spawn(move || {
            // Octets that are no text make a word that no option is called by.
            let texts =
                input.split(b'\n').map_while(Result::ok).map(|line| String::from_utf8_lossy(&line).into_owned());
            for line in texts {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// Returns the words of the next line that has any. With `hurry` it does not wait for one longer than a moment.
    pub fn next(&self, hurry: bool) -> Next {
        loop {
            let line = if hurry {
                match self.0.recv_timeout(PATIENCE) {
                    Ok(line) => line,
                    Err(RecvTimeoutError::Timeout) => return Next::Waiting,
                    Err(RecvTimeoutError::Disconnected) => return Next::End,
                }
            } else {
                match self.0.recv() {
                    Ok(line) => line,
                    Err(_) => return Next::End,
                }
            };
            let words = words(&line);
            if !words.is_empty() {
                return Next::Line(words);
            }
        }
    }
}

/// A line's words, without the program's name wherever it stands, and none of a comment. Nothing can be quoted.
fn words(line: &str) -> Vec<String> {
    if line.starts_with('#') {
        return Vec::new();
    }
    line.split([' ', '\t', '\r']).filter(|word| !word.is_empty() && *word != "ipvsadm").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_words() {
        let text = "-A -t 192.0.2.10:80\r\n\n \t\n# -C\nipvsadm\t-C  ipvsadm\n-L";
        let lines = Lines::of(text.as_bytes());
        let line = |words: &[&str]| Next::Line(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(lines.next(false), line(&["-A", "-t", "192.0.2.10:80"]));
        assert_eq!(lines.next(false), line(&["-C"]));
        assert_eq!(lines.next(false), line(&["-L"]));
        assert_eq!((lines.next(false), lines.next(true)), (Next::End, Next::End));
    }

    #[test]
    fn a_line_that_is_late_is_waited_for_only_as_long_as_asked() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let lines = Lines::of(std::io::BufReader::new(reader));
        assert_eq!(lines.next(true), Next::Waiting);
        std::io::Write::write_all(&mut writer, b"-C\n").unwrap();
        assert_eq!(lines.next(false), Next::Line(vec!["-C".to_owned()]));
        drop(writer);
        assert_eq!(lines.next(true), Next::End);
    }
}
