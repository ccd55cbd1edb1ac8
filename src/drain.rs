//! `millrace drain`: the director's VIPs are kept from the routers.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use millrace::cli::DrainArgs;
use millrace::cli::status::NOT_DONE;
use millrace::ctrl::api::{Client, Draining};

use crate::output::{fail, fail_to_ask, print, print_json_line};

/// How often a draining director is looked at. One that has nothing left is not done before it was looked at twice: routers
/// take a moment to turn away.
const PAUSE: Duration = Duration::from_secs(1);

/// Drains the director, or has it announce its VIPs again.
pub fn run(args: &DrainArgs) -> ExitCode {
    let client = Client::new(&args.director.socket);
    let mut now = match client.drain(!args.off) {
        Ok(now) => now,
        Err(error) => return fail_to_ask(&error),
    };
    let printed = if args.json { print_json_line(&now) } else { print(&format!("{}\n", state(&now))) };
    if !args.wait {
        return printed;
    }
    let started = Instant::now();
    let (mut heard, mut told) = (started, None);
    loop {
        if told != Some(left(&now)) {
            let _ = match (args.json, told) {
                (false, _) => print(&format!("{}\n", words(&now))),
                // It was just shown.
                (true, None) => ExitCode::SUCCESS,
                (true, Some(_)) => print_json_line(&now),
            };
            told = Some(left(&now));
        }
        let quiet = heard.elapsed();
        if quiet >= args.quiet || (left(&now) == (0, 0) && quiet >= PAUSE) {
            if quiet >= args.quiet && !args.json {
                let time = humantime::format_duration(args.quiet);
                return print(&format!("no packet came for {time}: routers have turned away\n"));
            }
            return ExitCode::SUCCESS;
        }
        let rest = args.timeout.map_or(PAUSE, |timeout| timeout.saturating_sub(started.elapsed()));
        if rest.is_zero() {
            return fail(NOT_DONE, format_args!("packets still come: {}", words(&now)));
        }
        sleep(rest.min(PAUSE).min(args.quiet - quiet));
        let next = match client.draining() {
            Ok(next) => next,
            Err(error) => return fail_to_ask(&error),
        };
        if !next.draining {
            return fail(NOT_DONE, "the director was told to announce its VIPs again");
        }
        if next.forwarded != now.forwarded {
            heard = Instant::now();
        }
        now = next;
    }
}

fn left(draining: &Draining) -> (u64, u64) {
    (draining.active, draining.inactive)
}

/// Says what of the VIPs is announced.
fn state(draining: &Draining) -> String {
    let some = |count: usize| format!("{count} VIP{} announced", if count == 1 { " is" } else { "s are" });
    match (draining.draining, draining.announced) {
        (true, 0) => "draining: no VIP is announced".to_owned(),
        (true, count) => format!("draining: {} still", some(count)),
        (false, count) => some(count),
    }
}

/// Says what connections there are.
fn words(draining: &Draining) -> String {
    let (active, inactive) = left(draining);
    match active + inactive {
        0 => "no connections left".to_owned(),
        1 => format!("1 connection left ({active} active, {inactive} inactive)"),
        all => format!("{all} connections left ({active} active, {inactive} inactive)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_told_in_words() {
        for (draining, announced, text) in [
            (true, 0, "draining: no VIP is announced"),
            (true, 2, "draining: 2 VIPs are announced still"),
            (false, 1, "1 VIP is announced"),
            (false, 0, "0 VIPs are announced"),
        ] {
            assert_eq!(state(&Draining { draining, announced, ..Draining::default() }), text);
        }
    }
}
