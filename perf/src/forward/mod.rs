//! One worker's forwarding rate, frames of 64 octets in mbufs (of 78, which is a TCP segment's header over IPv6), over a memory
//! port on the same core.
//!
//! All cases of one number of flows are sampled in turn, over and over, so that each sees the core as the others do.

pub mod director;
pub mod port;
mod reference;
pub mod traffic;
mod verify;

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use millrace::dataplane::conn::Backing;
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::stats::Outcome;

use crate::pages;
use crate::report::Measurement;
use crate::sampling::{Sample, Samples};
use director::Director;
use port::RING;
use reference::{MacSwap, MemoryLimit, PortAlone};

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Direct routing.
    Dr,
    /// The tunnel.
    Ipip,
    /// NAT, from a client to a real server.
    NatIn,
    /// NAT, from a real server to a client.
    NatOut,
    /// Direct routing, over IPv6.
    Dr6,
    /// The tunnel, IPv6 in IPv6.
    #[value(name = "6in6")]
    SixInSix,
    /// NAT over IPv6, from a client to a real server.
    NatIn6,
    /// NAT over IPv6, from a real server to a client.
    NatOut6,
    /// Full NAT, from a client to a real server.
    FullnatIn,
    /// Full NAT, from a real server to a client.
    FullnatOut,
    /// Only the Ethernet addresses are swapped.
    MacSwap,
    /// One random cache line is read and the Ethernet addresses are written.
    MemoryLimit,
    /// Nothing: the port alone.
    Port,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Self::Dr => "dr",
            Self::Ipip => "ipip",
            Self::NatIn => "nat-in",
            Self::NatOut => "nat-out",
            Self::Dr6 => "dr6",
            Self::SixInSix => "6in6",
            Self::NatIn6 => "nat-in6",
            Self::NatOut6 => "nat-out6",
            Self::FullnatIn => "fullnat-in",
            Self::FullnatOut => "fullnat-out",
            Self::MacSwap => "mac-swap",
            Self::MemoryLimit => "memory-limit",
            Self::Port => "port",
        }
    }

    /// The configuration's word.
    const fn method(self) -> &'static str {
        match self.over_v4() {
            Self::Dr => "direct",
            Self::Ipip => "tunnel",
            Self::FullnatIn | Self::FullnatOut => "fullnat",
            _ => "nat",
        }
    }

    /// Whether answers come back through the director.
    const fn is_answered(self) -> bool {
        matches!(self.over_v4(), Self::NatIn | Self::NatOut) || self.is_full_nat()
    }

    const fn is_full_nat(self) -> bool {
        matches!(self, Self::FullnatIn | Self::FullnatOut)
    }

    /// The other direction of NAT or full NAT.
    const fn answer(self) -> Self {
        match self {
            Self::FullnatIn | Self::FullnatOut => Self::FullnatOut,
            _ if self.is_six() => Self::NatOut6,
            _ => Self::NatOut,
        }
    }

    /// Whether its packets come from real servers.
    const fn is_answer(self) -> bool {
        matches!(self, Self::NatOut | Self::NatOut6 | Self::FullnatOut)
    }

    /// The same over IPv4.
    const fn over_v4(self) -> Self {
        match self {
            Self::Dr6 => Self::Dr,
            Self::SixInSix => Self::Ipip,
            Self::NatIn6 => Self::NatIn,
            Self::NatOut6 => Self::NatOut,
            other => other,
        }
    }

    /// Whether its packets are of IPv6.
    const fn is_six(self) -> bool {
        matches!(self, Self::Dr6 | Self::SixInSix | Self::NatIn6 | Self::NatOut6)
    }

    /// The case whose director it runs on: the two directions of NAT share one.
    const fn rig(self) -> Self {
        match self {
            Self::NatOut => Self::NatIn,
            Self::NatOut6 => Self::NatIn6,
            Self::FullnatOut => Self::FullnatIn,
            other => other,
        }
    }

    /// How its packets end.
    const fn outcome(self) -> Option<Outcome> {
        match self.over_v4() {
            Self::Dr => Some(Outcome::ForwardedDirect),
            Self::Ipip => Some(Outcome::ForwardedTunnel),
            Self::NatIn => Some(Outcome::ForwardedNatIn),
            Self::NatOut => Some(Outcome::ForwardedNatOut),
            Self::FullnatIn => Some(Outcome::ForwardedFullNatIn),
            Self::FullnatOut => Some(Outcome::ForwardedFullNatOut),
            _ => None,
        }
    }
}

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    cases: Vec<Case>,
    flows: Vec<u32>,
    rounds: u32,
    length: Duration,
}

impl Plan {
    /// All cases and numbers of flows, or only those given.
    pub fn new(quick: bool, cases: &[Case], flows: &[u32]) -> Self {
        let (rounds, length) = if quick { (30, 10) } else { (100, 25) };
        Self {
            cases: if cases.is_empty() { Case::value_variants().to_vec() } else { cases.to_vec() },
            flows: if flows.is_empty() { vec![1, 100_000, 1_000_000, 10_000_000] } else { flows.to_vec() },
            rounds,
            length: Duration::from_millis(length),
        }
    }
}

/// Before each sample, untimed: the caches are another case's.
const WARM_UP: Duration = Duration::from_millis(2);

/// What it takes of mbufs: seven directors and three references have a ring each.
pub const FRAMES: u32 = 12 * RING as u32 - 1;

/// Runs the plan on the calling thread.
pub fn measure(plan: &Plan, pool: &Pool) -> anyhow::Result<Vec<Measurement>> {
    ensure!(plan.flows.iter().all(|flows| (1..=100_000_000).contains(flows)), "from 1 to 100 million flows");
    let results: anyhow::Result<Vec<Vec<Measurement>>> =
        plan.flows.iter().map(|&flows| run(plan, flows, pool)).collect();
    Ok(results?.concat())
}

/// What runs a case, or both directions of NAT.
trait Rig {
    /// Runs `case` for about `length`.
    fn sample(&mut self, case: Case, length: Duration) -> anyhow::Result<Sample>;

    /// What pages the memory lies in that packets lead to.
    fn backing(&self) -> Option<Backing> {
        None
    }
}

fn rig(case: Case, flows: u32, pool: &Pool) -> anyhow::Result<Box<dyn Rig>> {
    Ok(match case {
        Case::MacSwap => Box::new(MacSwap::new(flows, pool)?),
        Case::MemoryLimit => Box::new(MemoryLimit::new(flows, pool)?),
        Case::Port => Box::new(PortAlone::new(flows, pool)?),
        _ => Box::new(Director::new(case, flows, pool)?),
    })
}

fn run(plan: &Plan, flows: u32, pool: &Pool) -> anyhow::Result<Vec<Measurement>> {
    let mut rigs: Vec<(Case, Box<dyn Rig>)> = Vec::new();
    for &case in &plan.cases {
        if !rigs.iter().any(|(made, _)| *made == case.rig()) {
            let rig = rig(case.rig(), flows, pool).with_context(|| format!("{}, {flows} flows", case.name()))?;
            rigs.push((case.rig(), rig));
        }
    }
    let mut samples = vec![Samples::default(); plan.cases.len()];
    for _ in 0..plan.rounds {
        for (&case, samples) in plan.cases.iter().zip(&mut samples) {
            if let Some((_, rig)) = rigs.iter_mut().find(|(made, _)| *made == case.rig()) {
                rig.sample(case, WARM_UP)?;
                samples.push(rig.sample(case, plan.length)?);
            }
        }
    }
    let of = |case: Case| plan.cases.iter().position(|&other| other == case).map(|place| &samples[place]);
    let measured = plan.cases.iter().zip(&samples).map(|(&case, own)| {
        let versus = |reference: Case, of_samples: fn(&Samples) -> f64| {
            of(reference).filter(|_| case.outcome().is_some()).map(|other| round(of_samples(other) / of_samples(own)))
        };
        let backing = rigs.iter().find(|(made, _)| *made == case.rig()).and_then(|(_, rig)| rig.backing());
        Measurement {
            case: case.name(),
            flows,
            workers: 1,
            frame_bytes: traffic::frame_octets(case.is_six()) as u32 + 4,
            mpps: round(1000.0 / own.median()),
            mpps_min: round(1000.0 / own.worst()),
            mpps_max: round(1000.0 / own.best()),
            ns_per_packet: round(own.best()),
            ns_per_packet_median: round(own.median()),
            vs_mac_swap: versus(Case::MacSwap, Samples::best),
            vs_memory_limit: versus(Case::MemoryLimit, Samples::best),
            vs_mac_swap_median: versus(Case::MacSwap, Samples::median),
            vs_memory_limit_median: versus(Case::MemoryLimit, Samples::median),
            vs_ipv4: of(case.over_v4()).filter(|_| case.is_six()).map(|other| round(own.best() / other.best())),
            vs_ipv4_median: of(case.over_v4())
                .filter(|_| case.is_six())
                .map(|other| round(own.median() / other.median())),
            samples: own.len(),
            pages: backing.map_or("-", pages::name),
        }
    });
    Ok(measured.collect())
}

/// To three decimals.
fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
