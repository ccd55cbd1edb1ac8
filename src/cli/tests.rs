//! Command lines, good and bad.

use super::*;
use clap::CommandFactory;

/// One command's arguments alone.
#[derive(Parser)]
struct Only<A: Args> {
    #[command(flatten)]
    args: A,
}

fn read<A: Args>(arguments: &[&str]) -> Result<A, String> {
    let all = ["millrace"].iter().chain(arguments);
    Only::<A>::try_parse_from(all).map(|only| only.args).map_err(|error| error.to_string())
}

#[test]
fn the_grammar_holds_together() {
    Cli::command().debug_assert();
    Only::<RunArgs>::command().debug_assert();
    Only::<ReplayArgs>::command().debug_assert();
}

#[test]
fn replay_takes_captures_by_port() {
    let args: ReplayArgs = read(&[
        "-c",
        "x.toml",
        "--in",
        "wan=a.pcap",
        "--in",
        "lan=b=c.pcap",
        "--out",
        "wan=o.pcap",
        "--stats",
        "s.json",
    ])
    .unwrap();
    let pair = |port: &str, file: &str| PortFile { port: port.into(), file: file.into() };
    assert_eq!(args.inputs, [pair("wan", "a.pcap"), pair("lan", "b=c.pcap")]);
    assert_eq!(args.outputs, [pair("wan", "o.pcap")]);
    assert_eq!((args.workers, args.seed, args.stats), (1, 1, Some("s.json".into())));
}

#[test]
fn mistakes_name_the_argument() {
    for (arguments, part) in [
        (&["--in", "wan=a.pcap"][..], "--config <FILE>"),
        (&["-c", "x.toml"], "--in <PORT=FILE>"),
        (&["-c", "x.toml", "--in", "wan"], "'wan' for '--in <PORT=FILE>': write it as PORT=FILE"),
        (&["-c", "x.toml", "--in", "wan=a", "--workers", "0"], "'0' for '--workers <N>'"),
    ] {
        let error = read::<ReplayArgs>(arguments).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let error = Cli::read_from(["millrace", "chekc"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("similar subcommand exists: 'check'"), "{error}");
}

#[test]
fn every_command_has_help() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands_mut() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
    }
    assert!(read::<RunArgs>(&["-c", "x.toml"]).is_ok());
}

/// The commands that do something, by their names.
fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let name = format!("{name} {}", below.get_name());
        match below.has_subcommands() {
            true => leaves(below, &name, found),
            false => found.push((name, below.clone())),
        }
    }
}

#[test]
fn every_command_that_prints_prints_json() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (name, command) in found {
        // They log, speak as ipvsadm does, or write what is for other programs.
        let silent = [" run", " replay", " ipvsadm", " completions", " man"].contains(&&*name);
        let json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        assert_ne!(json, silent, "{name}");
    }
}
