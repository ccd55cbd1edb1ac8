//! What bash makes of its completions, and man pages as they are installed.

use std::fs;
use std::process::{Command, Output, Stdio};

fn millrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).output().unwrap()
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"
        source /dev/stdin
        COMP_WORDS=(millrace "$@") COMP_CWORD=$#
        _millrace millrace "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let completions = millrace(&["completions", "bash"]);
    assert!(completions.status.success());
    let mut bash = Command::new("bash");
    let bash = bash.args(["--norc", "-c", script, "bash"]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    std::io::copy(&mut &*completions.stdout, &mut bash.stdin.take().unwrap()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered(&["serv"]), ["service"]);
    assert_eq!(offered(&["re"]).iter().filter(|word| !word.starts_with("replay")).count(), 2, "real and reload");
    assert_eq!(offered(&["service", "s"]), ["show", "set"]);
    assert_eq!(offered(&["real", "drain", "--wa"]), ["--wait"]);
    assert_eq!(offered(&["service", "add", "--sched"]), ["--scheduler", "--scheduler-flags"]);
    assert_eq!(offered(&["completions", "b"]), ["bash"]);
}

#[test]
fn the_manual_is_written_into_a_folder() {
    let folder = std::env::temp_dir().join(format!("millrace-manual-{}/man8", std::process::id()));
    assert!(millrace(&["man", folder.to_str().unwrap()]).status.success());
    let page = fs::read_to_string(folder.join("millrace-service-add.8")).unwrap();
    assert!(page.contains(".TH MILLRACE-SERVICE-ADD 8 "), "{page}");
    assert!(folder.join("millrace.8").exists());
    let inside = folder.join("millrace.8/there");
    let refused = millrace(&["man", inside.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot be written: "));
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}
