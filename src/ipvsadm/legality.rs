//! Which options a command takes: the table of ipvsadm, and its three complaints.

use super::mistake::Mistake;
use super::options::{Counted, Switch};

use Counted::*;

/// What a command, or a type of tunnel, says of each option; what it does not name is illegal.
#[derive(Debug)]
struct Rule {
    /// Its name in messages.
    name: &'static str,
    /// Must be given.
    required: &'static [Counted],
    /// May be given.
    optional: &'static [Counted],
    /// One of them may be.
    exclusive: &'static [Counted],
}

const fn rule(name: &'static str) -> Rule {
    Rule { name, required: &[], optional: &[], exclusive: &[] }
}

const SERVICE: Rule = Rule {
    required: &[ServiceAddress],
    optional: &[Scheduler, Persistent, Netmask, Ops, Engine, SchedFlags],
    ..rule("add-service")
};
const SERVER: Rule = Rule {
    required: &[ServiceAddress, RealServer],
    optional: &[
        ForwardingMethod,
        Weight,
        UpperThreshold,
        LowerThreshold,
        TunType,
        TunPort,
        TunNocsum,
        TunCsum,
        TunRemcsum,
    ],
    ..rule("add-server")
};
const LIST: Rule = Rule {
    optional: &[Numeric, Stats, Rate, Thresholds, PersistentConn, Nosort, SyncId, Exact, TunInfo],
    exclusive: &[Connection, ServiceAddress, Timeout, Daemon],
    ..rule("list")
};
const START_DAEMON: Rule =
    Rule { optional: &[McastInterface, SyncId, McastGroup, McastPort, McastTtl, SyncMaxlen], ..rule("start-daemon") };

/// The options of a tunnel that depend on its type.
const TUNNEL: &[Counted] = &[TunPort, TunNocsum, TunCsum, TunRemcsum];
const IPIP: Rule = rule("ipip");
const GUE: Rule = Rule { required: &[TunPort], exclusive: &[TunNocsum, TunCsum, TunRemcsum], ..rule("gue") };
const GRE: Rule = Rule { exclusive: &[TunNocsum, TunCsum], ..rule("gre") };

fn of(command: Switch) -> Rule {
    match command {
        Switch::AddService => SERVICE,
        Switch::EditService => Rule { name: "edit-service", ..SERVICE },
        Switch::DeleteService => Rule { required: &[ServiceAddress], ..rule("delete-service") },
        Switch::AddServer => SERVER,
        Switch::EditServer => Rule { name: "edit-server", ..SERVER },
        Switch::DeleteServer => Rule { required: &[ServiceAddress, RealServer], ..rule("delete-server") },
        Switch::List => LIST,
        Switch::StartDaemon => START_DAEMON,
        Switch::StopDaemon => Rule { optional: &[SyncId], ..rule("stop-daemon") },
        Switch::Save => Rule { optional: &[Numeric], ..rule("save") },
        Switch::Zero => Rule { optional: &[ServiceAddress], ..rule("zero") },
        Switch::Clear => rule("flush"),
        Switch::Set => rule("set"),
        // All other commands that get here: those that take no options.
        _ => rule("restore"),
    }
}

/// Checks the options that were given to a command.
///
/// # Errors
/// The first complaint, in the order of the options' table.
pub fn command(command: Switch, given: &[Counted]) -> Result<(), Mistake> {
    check(&of(command), Counted::ALL, given, "command")
}

/// Checks the options that were given for a tunnel of this type.
///
/// # Errors
/// The first complaint.
pub fn tunnel(kind: &str, given: &[Counted]) -> Result<(), Mistake> {
    let rule = match kind {
        "gue" => GUE,
        "gre" => GRE,
        _ => IPIP,
    };
    check(&rule, TUNNEL, given, "tunnel type")
}

fn check(rule: &Rule, options: &[Counted], given: &[Counted], what: &str) -> Result<(), Mistake> {
    let (mut first, owner) = (None, rule.name);
    for option in options {
        let name = option.name();
        if !given.contains(option) {
            if rule.required.contains(option) {
                return Err(Mistake::usage(format!("You need to supply the '{name}' option for the '{owner}' {what}")));
            }
            continue;
        }
        if rule.exclusive.contains(option) {
            if let Some(other) = first.replace(name) {
                return Err(Mistake::usage(format!(
                    "The option '{name}' conflicts with the '{other}' option in the '{owner}' {what}"
                )));
            }
        } else if !rule.required.contains(option) && !rule.optional.contains(option) {
            return Err(Mistake::usage(format!("Illegal '{name}' option with the '{owner}' {what}")));
        }
    }
    Ok(())
}
