//! ipvsadm's command line against a director that runs: what is printed, complained of and returned, to the letter.
//!
//! The transcripts in tests/ipvsadm are sessions in a shell. After `$ ` stands a command, after `< ` what it reads, after `! `
//! what it says on standard error, after `= ` its exit status where that is not 0, and in all other lines its output, `·` for
//! a blank at a line's end. All but `otherwise.txt` are what ipvsadm 1.31 does with a kernel's IPVS.
#![cfg(feature = "dpdk")]

mod process;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use etherparse::PacketBuilder;
use millrace::ctrl::api::Client;
use process::{Desk, Director, capture};

/// A desk with a director's configuration, and links to the program by ipvsadm's names.
fn desk(name: &str, wan: &str, services: &str) -> Desk {
    let desk = Desk::new(name);
    let head = "director = { workers = [CORE], max_connections = 4096, poll = 'adaptive', \
                dpdk_args = ['--no-huge', '-m', '128', '--no-telemetry'] }\n";
    let core = millrace::ctrl::config::Machine::here().cores[0];
    let ports = "port = [{ name = 'wan', device = 'WAN', mac = '02:00:00:00:00:01', addresses = ['192.0.2.2/24'] },\n\
                 { name = 'lan', device = 'net_null0,no-rx=1', addresses = ['10.0.0.1/24'] }]\n\
                 local_pool = [{ addresses = ['10.0.0.200'] }]\n";
    let socket = format!("api.socket = '{}'\n", desk.path("api.sock").display());
    desk.write(&(head.replace("CORE", &core.to_string()) + &socket + &ports.replace("WAN", wan) + services));
    fs::create_dir(desk.path("bin")).unwrap();
    for name in ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"] {
        symlink(env!("CARGO_BIN_EXE_millrace"), desk.path("bin").join(name)).unwrap();
    }
    desk
}

/// A command's outcome.
#[derive(Debug, Default, PartialEq)]
struct Said {
    output: String,
    complaints: String,
    status: i32,
}

fn shell(desk: &Desk, command: &str, input: &str) -> Said {
    let path = format!("{}:{}", desk.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipvsadm");
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(desk.path("")).env("PATH", path).env("SCRIPTS", scripts);
    // A resolver that nobody answers is not waited for.
    shell.env("MILLRACE_SOCKET", desk.path("api.sock")).env("RES_OPTIONS", "timeout:1 attempts:1");
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    // A command that complains may have ended before it was told everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        output: String::from_utf8(output.stdout).unwrap(),
        complaints: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap_or(-1),
    }
}

/// One step of a transcript.
#[derive(Default)]
struct Step {
    line: usize,
    command: String,
    input: String,
    expected: Said,
}

fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in transcript.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number + 1, command: command.to_owned(), ..Step::default() });
        } else if let Some(step) = steps.last_mut().filter(|_| !line.is_empty() && !line.starts_with('#')) {
            let text = |mark: char| line.strip_prefix(mark).map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
            if let Some(input) = text('<') {
                step.input += &format!("{input}\n");
            } else if let Some(complaint) = text('!') {
                step.expected.complaints += &format!("{complaint}\n");
            } else if let Some(status) = text('=') {
                step.expected.status = status.parse().unwrap();
            } else {
                step.expected.output += &format!("{}\n", line.replace('·', " "));
            }
        }
    }
    steps
}

#[test]
fn transcripts_are_played_to_the_letter() {
    let desk = desk("ipvsadm", "net_null1,no-rx=1", "");
    let _director = Director::start(&desk);
    for (name, transcript) in [
        ("services", include_str!("ipvsadm/services.txt")),
        ("restore", include_str!("ipvsadm/restore.txt")),
        ("mistakes", include_str!("ipvsadm/mistakes.txt")),
        ("scripts", include_str!("ipvsadm/scripts.txt")),
        ("otherwise", include_str!("ipvsadm/otherwise.txt")),
    ] {
        let mut wrong = Vec::new();
        for Step { line, command, input, expected } in steps(transcript) {
            let said = shell(&desk, &command, &input);
            if said != expected {
                wrong.push(format!("{name}.txt:{line}: {command}\nexpected {expected:#?}\nsaid {said:#?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn without_a_director_it_ends_as_ipvsadm_without_ipvs() {
    let desk = desk("ipvsadm-alone", "net_null1,no-rx=1", "");
    let socket = desk.path("api.sock");
    let complaint = format!(
        "Can't initialize ipvs: no director answers at {}: No such file or directory (os error 2)\n",
        socket.display()
    );
    for command in
        ["ipvsadm", "ipvsadm -A -t 192.0.2.10:80", "ipvsadm -Lnc", "ipvsadm -Z", "ipvsadm-save", "ipvsadm-restore"]
    {
        let expected = Said { output: String::new(), complaints: complaint.clone(), status: 2 };
        let said = shell(&desk, command, "-A -t 192.0.2.10:80\n");
        assert_eq!(Said { output: String::new(), ..said }, expected, "{command}");
    }
}

#[test]
fn many_lines_are_few_versions_of_what_is_desired() {
    let desk = desk("ipvsadm-many", "net_null1,no-rx=1", "");
    let _director = Director::start(&desk);
    let mut lines = String::new();
    for port in 1..=200 {
        lines += &format!("-A -t 192.0.2.10:{port} -s rr\n");
        for server in 11..20 {
            lines += &format!("-a -t 192.0.2.10:{port} -r 10.0.0.{server}:{port} -g -w {server}\n");
        }
    }
    let client = Client::new(&desk.path("api.sock"));
    let before = client.config().unwrap().version;
    assert_eq!(shell(&desk, "ipvsadm-restore", &lines), Said::default());
    assert_eq!(client.config().unwrap().version - before, 1, "restoring is one step");
    assert_eq!(shell(&desk, "ipvsadm-save -n", "").output, lines);

    // The same lines once more: each is refused, and nothing changes.
    let said = shell(&desk, "ipvsadm -R", &lines);
    let refused = |text| said.complaints.lines().filter(|line| *line == text).count();
    assert_eq!((refused("Service already exists"), refused("Destination already exists")), (200, 1800));
    assert_eq!((said.status, client.config().unwrap().version - before), (255, 1));
}

#[test]
fn traffic_is_counted_listed_and_set_to_zero() {
    let mut frames = Vec::new();
    for (flags, port) in [("S", 4711), ("A", 4711), ("S", 4712)] {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
        let tcp = ethernet.ipv4([198, 51, 100, 7], [192, 0, 2, 10], 64).tcp(port, 80, 1, 1024);
        let tcp = if flags == "S" { tcp.syn() } else { tcp.ack(1) };
        let mut frame = Vec::new();
        tcp.write(&mut frame, &[]).unwrap();
        frames.push(frame);
    }
    let services = "neighbor = [{ address = '10.0.0.11', mac = '02:00:00:00:01:0b' }]\n\
                    [[service]]\naddress = '192.0.2.10:80'\nforwarding = 'direct'\nreal = [{ address = '10.0.0.11' }]\n";
    let desk = desk("ipvsadm-traffic", "net_pcap0,rx_pcap=a.pcap,tx_pcap=o.pcap", services);
    capture(&desk.path("a.pcap"), &frames.iter().map(Vec::as_slice).collect::<Vec<_>>(), 0);
    let director = Director::start(&desk);
    let stats = || shell(&desk, "ipvsadm -Ln --stats", "").output;
    director.until("all came", |_| stats().contains(":80                        2        3"));

    let list = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.10:80 wlc
  -> 10.0.0.11:80                 Route   1      2          0·········
";
    assert_eq!(shell(&desk, "ipvsadm -Ln -t 192.0.2.10:80", "").output, list.replace('·', " "));
    let traffic = "\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.0.2.10:80                       2        3        0      120        0
  -> 10.0.0.11:80                        2        3        0      120        0
";
    assert_eq!(shell(&desk, "ipvsadm -Ln --stats -t 192.0.2.10:80", "").output, traffic);
    let rows = "ipvsadm -Lnc | tail -n +3 | sed 's/ [0-9][0-9]:[0-9][0-9] / MM:SS /' | sort";
    let connections = shell(&desk, rows, "").output;
    let expected = "\
TCP MM:SS  ESTABLISHED 198.51.100.7:4711  192.0.2.10:80      10.0.0.11:80
TCP MM:SS  SYN_RECV    198.51.100.7:4712  192.0.2.10:80      10.0.0.11:80
";
    assert_eq!(connections, expected);

    assert_eq!(shell(&desk, "ipvsadm -Z -t 192.0.2.10:80", ""), Said::default());
    let zero = traffic.replace("2        3        0      120        0", "0        0        0        0        0");
    assert_eq!(shell(&desk, "ipvsadm -Ln --stats -t 192.0.2.10:80", "").output, zero);
    let counts = shell(&desk, "ipvsadm -Ln -t 192.0.2.10:80", "").output;
    assert_eq!(counts, list.replace('·', " "), "connections stay");
}
