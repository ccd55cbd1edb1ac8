//! The manual pages and the shells' completions, made of the grammar itself: what it has, they have.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Cli, status};
use crate::ctrl::config::DEFAULT_SOCKET;

/// System administration tools and daemons, as ipvsadm(8).
const SECTION: &str = "8";

/// Environment variables, and what they are for.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("MILLRACE_SOCKET", "Socket of the director that is asked, unless --socket names another."),
    (
        "RUST_LOG",
        "What run logs: error, warn, info (the default), debug or trace; or by part, as in info,millrace::ctrl=debug.",
    ),
];

/// Files, and what they are.
const FILES: &[(&str, &str)] = &[
    ("/etc/millrace/millrace.toml", "The configuration, where the service has it."),
    (DEFAULT_SOCKET, "The director's socket, unless api.socket in the configuration names another."),
];

/// A page of the manual.
#[derive(Clone, Debug)]
pub struct Page {
    /// The name of its file, such as `millrace-service-add.8`.
    pub name: String,
    /// What it says, in roff(7).
    pub text: String,
}

/// Writes a page for the program and one for each of its commands.
///
/// # Errors
/// None: it writes to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command();
    program.build();
    let mut pages = Vec::new();
    add(&mut pages, &program, None)?;
    Ok(pages)
}

/// Writes what a shell reads to complete the program's arguments.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn add(pages: &mut Vec<Page>, command: &Command, parent: Option<&str>) -> io::Result<()> {
    pages.push(page(command, parent)?);
    for below in commands(command) {
        add(pages, below, Some(name(command)))?;
    }
    Ok(())
}

/// The commands of a command; `help` is not one of them: it has no page.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| below.get_name() != "help")
}

/// The name with those of the commands it belongs to, such as `millrace-service-add`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&str>) -> io::Result<Page> {
    let name = name(command);
    let usage = command.clone().render_usage().to_string();
    let command = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let man = Man::new(command.clone()).title(name.to_uppercase()).section(SECTION);
    // Without a date, which would be another for each build; an empty one would be left out, and what follows take its place.
    let man = man.date(" ").source(format!("millrace {}", crate::VERSION)).manual("System administration");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if commands(&command).next().is_some() {
        below(&command).to_writer(&mut text)?;
    }
    rest(parent).to_writer(&mut text)?;
    Ok(Page { name: format!("{name}.{SECTION}"), text: String::from_utf8_lossy(&text).into_owned() })
}

/// Lists the commands of a command.
fn below(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for below in commands(command) {
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        entry(&mut roff, page_name(name(below)), &about);
    }
    roff
}

/// What every page ends with.
fn rest(parent: Option<&str>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in status::MEANINGS {
        entry(&mut roff, vec![bold(status.to_string())], meaning);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (variable, meaning) in ENVIRONMENT {
        entry(&mut roff, vec![bold(*variable)], meaning);
    }
    roff.control("SH", ["FILES"]);
    for (file, meaning) in FILES {
        entry(&mut roff, vec![italic(*file)], meaning);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut also = page_name(parent.unwrap_or("ipvsadm"));
    if parent.is_some_and(|parent| parent != "millrace") {
        also.push(roman(", "));
        also.extend(page_name("millrace"));
    }
    roff.text(also);
    roff
}

fn entry(roff: &mut Roff, head: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(head);
    roff.text([roman(text)]);
}

/// As pages name each other: `millrace-service(8)`.
fn page_name(name: &str) -> Vec<Inline> {
    vec![bold(name), roman(format!("({SECTION})"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, with the program itself.
    fn all(command: &Command) -> Vec<Command> {
        let below = commands(command).flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }

    fn program() -> Command {
        let mut program = Cli::command();
        program.build();
        program
    }

    /// A page as man(1) shows it, as far as words go: without requests, fonts and escapes.
    fn shown(page: &Page) -> String {
        let lines = page.text.lines().filter(|line| !line.starts_with('.') && !line.starts_with('\''));
        let text = lines.collect::<Vec<_>>().join(" ");
        ["\\fB", "\\fI", "\\fR"]
            .iter()
            .fold(text, |text, font| text.replace(font, ""))
            .replace("\\-", "-")
            .replace("\\(aq", "'")
            .replace("\\*(Aq", "'")
    }

    #[test]
    fn every_command_has_a_page_with_all_its_options() {
        let pages = pages().unwrap();
        let commands = all(&program());
        assert_eq!(pages.len(), commands.len());
        for (page, command) in pages.iter().zip(&commands) {
            assert_eq!(page.name, format!("{}.8", name(command)));
            let text = shown(page);
            let about = command.get_about().unwrap().to_string();
            assert!(text.contains(&format!("{} - {about}", name(command))), "{text}");
            for option in command.get_arguments() {
                let named = [
                    option.get_long().map(|long| format!("--{long}")),
                    option.get_short().map(|short| format!("-{short}")),
                ];
                for name in named.into_iter().flatten() {
                    assert!(text.contains(&name), "{}: {name}: {text}", page.name);
                }
                let help = option.get_long_help().or(option.get_help()).unwrap().to_string();
                assert!(text.contains(&help), "{}: {help}: {text}", page.name);
            }
            for below in super::commands(command) {
                assert!(text.contains(&format!("{}(8)", name(below))), "{text}");
            }
        }
        for name in ["millrace.8", "millrace-service-add.8", "millrace-real-drain.8"] {
            assert!(pages.iter().any(|page| page.name == name), "{name}");
        }
    }

    #[test]
    fn pages_have_the_sections_of_a_page() {
        let sections =
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"];
        for page in pages().unwrap() {
            let heads = page.text.lines().filter_map(|line| line.strip_prefix(".SH "));
            let heads: Vec<_> = heads.map(|head| head.trim_matches('"')).filter(|head| *head != "COMMANDS").collect();
            assert_eq!(heads, sections, "{}", page.name);
            let title = page.name.trim_end_matches(".8").to_uppercase();
            assert!(
                page.text.contains(&format!(".TH {title} 8 \" \" \"millrace {}\" ", crate::VERSION)),
                "{}",
                page.text
            );
        }
    }

    #[test]
    fn pages_ask_for_nothing_that_man_does_not_have() {
        // What a line begins with: the requests of man(7), and what the writer itself defines for its quotes.
        let requests = ["TH", "SH", "TP", "PP", "RS", "RE", "IP", "br", "ie", "el", "ds"];
        for page in pages().unwrap() {
            for line in page.text.lines().filter(|line| line.starts_with('.') || line.starts_with('\'')) {
                let request = line[1..].split([' ', '\\']).next().unwrap();
                assert!(requests.contains(&request), "{}: {line}", page.name);
            }
        }
    }

    #[test]
    fn completions_know_every_command_and_option() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completions(shell);
            for command in all(&program()).iter().skip(1) {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
                for long in command.get_arguments().filter_map(|option| option.get_long()) {
                    assert!(text.contains(long), "{shell}: {}: {long}", command.get_name());
                }
            }
        }
    }
}
