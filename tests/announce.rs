//! VIPs as routes of the host, by netlink, in a network namespace of this test's own.

mod namespace;

use std::collections::BTreeSet;
use std::net::IpAddr;

use millrace::ctrl::announce::Announcer;
use millrace::ctrl::config::Announce;
use namespace::ip;

fn main() {
    namespace::run("vips_are_routes_of_the_host", vips_are_routes_of_the_host);
}

/// The VIPs that the host has routes of ours to.
fn routes() -> Vec<String> {
    let mut families = vec!["-4"];
    families.extend(namespace::has_ipv6().then_some("-6"));
    let listed = |family: &str| ip(&format!("{family} route show type blackhole proto 109"));
    let all: Vec<String> = families.into_iter().map(listed).collect();
    all.iter().flat_map(|text| text.lines()).filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect()
}

async fn vips_are_routes_of_the_host() {
    ip("link set lo up");
    let of = |vips: &[&str]| -> BTreeSet<IpAddr> { vips.iter().map(|vip| vip.parse().expect("an address")).collect() };
    let six = namespace::has_ipv6();
    let both = |four: &'static str, other: &'static str| if six { vec![four, other] } else { vec![four] };
    let of_ours = Announce { protocol: 109, table: 254 };
    let mut announcer = Announcer::open(of_ours).expect("netlink answers");
    announcer.look().await;
    announcer.announce(&of(&both("192.0.2.1", "2001:db8::1"))).await;
    assert_eq!(routes(), both("192.0.2.1", "2001:db8::1"));

    // What somebody took away is put back, and what is not wanted any more goes.
    ip("route del blackhole 192.0.2.1 proto 109");
    if six {
        ip("route del blackhole 2001:db8::1 proto 109");
    }
    announcer.look().await;
    announcer.announce(&of(&both("192.0.2.1", "2001:db8::1"))).await;
    assert_eq!(routes(), both("192.0.2.1", "2001:db8::1"));
    announcer.announce(&of(&both("192.0.2.2", "2001:db8::2"))).await;
    assert_eq!(routes(), both("192.0.2.2", "2001:db8::2"));

    // The next director takes over what a former one has left, and others' routes stay.
    drop(announcer);
    ip("route add blackhole 192.0.2.3 proto static");
    let mut announcer = Announcer::open(of_ours).expect("netlink answers");
    announcer.look().await;
    announcer.announce(&of(&both("192.0.2.2", "2001:db8::1"))).await;
    assert_eq!(routes(), both("192.0.2.2", "2001:db8::1"));
    announcer.announce(&BTreeSet::new()).await;
    assert_eq!(routes(), [""; 0]);
    assert!(ip("-4 route show type blackhole").contains("192.0.2.3"));
}
