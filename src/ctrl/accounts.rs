//! What control adds to the workers' counters of services and real servers: from which value they count, and how fast
//! they grow.
//!
//! Workers are the only writers of their counters, so `ipvsadm -Z` cannot set one to zero: it notes what was counted until
//! then, and reports show the rest. Rates are IPVS's estimate (net/netfilter/ipvs/ip_vs_est.c): every two seconds, the rate
//! of these counts one quarter, what the estimate was before three: 16 seconds after a steady rate began, nine tenths of it
//! are shown. Rounding is the kernel's, in fixed point: 10 bits for connections and packets, 5 for octets.

use std::time::Duration;

use super::api::TrafficReport;
use crate::dataplane::clock::Now;
use crate::dataplane::service::{EndpointId, RealId, Service};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::Snapshot;
use crate::dataplane::stats::FlowStats;

/// Between two estimates.
const PERIOD: Duration = Duration::from_secs(2);
/// Fractional bits of the rates, in the order of [`numbers`].
const BITS: [u32; 5] = [10, 10, 5, 10, 5];

/// The accounts of all services and real servers.
#[derive(Debug, Default)]
pub struct Accounts {
    services: Vec<Account>,
    reals: Vec<Account>,
    /// How many estimates there were.
    pass: u64,
    /// When the last one was.
    last: Now,
}

/// One account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// What was counted when it was set to zero.
    zero: [u64; 5],
    /// What was counted at the last estimate.
    last: [u64; 5],
    /// The estimate, in fixed point.
    rates: [i64; 5],
    /// The last pass that saw it; 0 for none.
    pass: u64,
}

impl Accounts {
    /// Makes an estimate, if it is time.
    pub fn tend(&mut self, shared: &Shared, snapshot: &Snapshot, now: Now) {
        let millis = now.millis().saturating_sub(self.last.millis());
        if u128::from(millis) < PERIOD.as_millis() {
            return;
        }
        (self.last, self.pass) = (now, self.pass + 1);
        for service in snapshot.services.iter().flatten() {
            let total = numbers(&service_total(shared, service.id));
            at(&mut self.services, service.id.index()).estimate(total, self.pass, millis);
        }
        for real in snapshot.reals.iter().flatten() {
            at(&mut self.reals, real.id.index()).estimate(numbers(&real_total(shared, real.id)), self.pass, millis);
        }
    }

    /// Sets the counters and rates of services and their real servers to zero.
    pub fn zero<'a>(&mut self, shared: &Shared, services: impl Iterator<Item = &'a Service>) {
        for service in services {
            at(&mut self.services, service.id.index()).set_to_zero(numbers(&service_total(shared, service.id)));
            for id in service.reals.iter().map(|real| real.id).chain(service.sorry) {
                at(&mut self.reals, id.index()).set_to_zero(numbers(&real_total(shared, id)));
            }
        }
    }

    /// What a service is shown to have counted, and its rates: per second.
    pub fn service(&self, shared: &Shared, id: EndpointId) -> (TrafficReport, TrafficReport) {
        shown(self.services.get(id.index()), &service_total(shared, id))
    }

    /// What a real server is shown to have counted, and its rates: per second.
    pub fn real(&self, shared: &Shared, id: RealId) -> (TrafficReport, TrafficReport) {
        shown(self.reals.get(id.index()), &real_total(shared, id))
    }
}

impl Account {
    fn estimate(&mut self, total: [u64; 5], pass: u64, millis: u64) {
        if self.pass != 0 && self.pass + 1 != pass {
            // It was away: what came meanwhile did not come in one period.
            (self.last, self.rates) = (total, [0; 5]);
        }
        for ((rate, bits), (total, last)) in self.rates.iter_mut().zip(BITS).zip(total.iter().zip(self.last)) {
            let now = (u128::from(total.saturating_sub(last)) << bits) * 1000 / u128::from(millis);
            *rate += (now as i64 - *rate) >> 2;
        }
        (self.last, self.pass) = (total, pass);
    }

    fn set_to_zero(&mut self, total: [u64; 5]) {
        (self.zero, self.last, self.rates) = (total, total, [0; 5]);
    }
}

fn shown(account: Option<&Account>, total: &TrafficReport) -> (TrafficReport, TrafficReport) {
    let account = account.copied().unwrap_or_default();
    let total = numbers(total);
    let counted = std::array::from_fn(|place| total[place].saturating_sub(account.zero[place]));
    // Rounded up from one half, but not from exactly one half: as in the kernel.
    let rates =
        std::array::from_fn(|place| ((account.rates[place] + (1 << (BITS[place] - 1)) - 1) >> BITS[place]) as u64);
    (report(counted), report(rates))
}

fn at(accounts: &mut Vec<Account>, place: usize) -> &mut Account {
    if accounts.len() <= place {
        accounts.resize(place + 1, Account::default());
    }
    &mut accounts[place]
}

fn service_total(shared: &Shared, id: EndpointId) -> TrafficReport {
    total(shared.workers.iter().map(|worker| &worker.services[id.index()]))
}

fn real_total(shared: &Shared, id: RealId) -> TrafficReport {
    total(shared.workers.iter().map(|worker| &worker.reals[id.index()]))
}

fn total<'a>(flows: impl Iterator<Item = &'a FlowStats>) -> TrafficReport {
    flows.fold(TrafficReport::default(), |sum, flow| TrafficReport {
        connections: sum.connections + flow.connections.get(),
        in_packets: sum.in_packets + flow.in_packets.get(),
        in_octets: sum.in_octets + flow.in_octets.get(),
        out_packets: sum.out_packets + flow.out_packets.get(),
        out_octets: sum.out_octets + flow.out_octets.get(),
    })
}

fn numbers(traffic: &TrafficReport) -> [u64; 5] {
    let TrafficReport { connections, in_packets, in_octets, out_packets, out_octets } = *traffic;
    [connections, in_packets, in_octets, out_packets, out_octets]
}

fn report([connections, in_packets, in_octets, out_packets, out_octets]: [u64; 5]) -> TrafficReport {
    TrafficReport { connections, in_packets, in_octets, out_packets, out_octets }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account after passes of two seconds, in each of which so much was counted.
    fn after(counts: &[u64]) -> ([u64; 5], Account) {
        let (mut account, mut total) = (Account::default(), [0; 5]);
        for (pass, count) in counts.iter().enumerate() {
            total = total.map(|sum| sum + count);
            account.estimate(total, pass as u64 + 1, 2000);
        }
        (total, account)
    }

    fn rates(account: &Account, total: [u64; 5]) -> [u64; 5] {
        numbers(&shown(Some(account), &report(total)).1)
    }

    #[test]
    fn a_new_rate_counts_a_quarter() {
        // 1,000 a second: 250, then three quarters of it and 250 more.
        for (passes, rate) in [(1, 250), (2, 437), (3, 578), (4, 684)] {
            let (total, account) = after(&vec![2000; passes]);
            assert_eq!(rates(&account, total), [rate; 5], "{passes}");
        }
        let (total, account) = after(&[2000; 40]);
        assert_eq!(rates(&account, total), [1000; 5]);
        let (total, account) = after(&[&[2000; 40][..], &[0; 40]].concat());
        assert_eq!(rates(&account, total), [0; 5]);
    }

    #[test]
    fn a_longer_period_is_taken_for_what_it_is() {
        let mut account = Account::default();
        account.estimate([4000; 5], 1, 4000);
        assert_eq!(rates(&account, [4000; 5]), [250; 5]);
    }

    #[test]
    fn what_was_away_starts_anew() {
        let (total, mut account) = after(&[2000; 4]);
        let later = total.map(|sum| sum + 1_000_000);
        account.estimate(later, 9, 2000);
        assert_eq!(rates(&account, later), [0; 5]);
    }

    #[test]
    fn zero_is_where_counting_begins() {
        let (total, mut account) = after(&[2000; 4]);
        account.set_to_zero(total);
        let (counted, rates) = shown(Some(&account), &report(total.map(|sum| sum + 7)));
        assert_eq!((numbers(&counted), numbers(&rates)), ([7; 5], [0; 5]));
        assert_eq!(shown(None, &report([3; 5])).0, report([3; 5]));
    }
}
