//! The kernel's routes by netlink, on veth pairs in a network namespace of this test's own.

mod namespace;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use millrace::ctrl::config::{self, Config};
use millrace::ctrl::routing::learned::Learned;
use millrace::ctrl::routing::mirror::Kernel;
use millrace::dataplane::service::PortId;
use namespace::ip;
use tokio::time::{Instant, timeout};

const TEXT: &str = "\
[announce]
[mirror]
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24']
twin = 'wan0'
[[port]]
name = 'lan'
device = 'net_ring1'
addresses = ['10.0.0.1/24']
twin = 'lan0'
";

fn main() {
    namespace::run("the_kernels_routes_are_known", || async {
        the_kernels_routes_are_known().await;
        if namespace::has_ipv6() {
            so_are_those_of_ipv6().await;
        }
    });
}

/// A next hop: port, the last octet of its gateway, or 0, and its weight.
type Hop = (u8, u8, u16);
/// A route: destination and next hops.
type Route<'a> = (&'a str, &'a [Hop]);

/// What is known of the kernel's routes.
struct Known {
    kernel: Kernel,
    learned: Learned,
}

impl Known {
    fn routes(&self) -> Vec<(String, Vec<Hop>)> {
        let routes = self.learned.routes.iter().flat_map(|(to, all)| all.iter().map(move |one| (to.to_string(), one)));
        let leg = |via: Option<IpAddr>| match via {
            Some(IpAddr::V4(via)) => via.octets()[3],
            Some(IpAddr::V6(via)) => via.octets()[15],
            None => 0,
        };
        routes.map(|(to, one)| (to, one.legs.iter().map(|it| (it.port.0, leg(it.via), it.weight)).collect())).collect()
    }

    /// Listens until the routes are these.
    async fn becomes(&mut self, expected: &[Route<'_>]) {
        let expected: Vec<_> = expected.iter().map(|(to, legs)| ((*to).to_owned(), legs.to_vec())).collect();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.routes() != expected {
            assert!(Instant::now() < deadline, "{:?}, not {expected:?}", self.routes());
            if let Ok(news) = timeout(Duration::from_millis(200), self.kernel.news(Instant::now())).await {
                self.learned.hear(news.expect("the socket lives"));
            }
        }
    }
}

fn twins() {
    for (twin, address) in [("wan0", "192.0.2.2/24"), ("lan0", "10.0.0.1/24")] {
        ip(&format!("link add {twin} type veth peer name {twin}-far"));
        ip(&format!("addr add {address} dev {twin}"));
        ip(&format!("link set {twin} up"));
        ip(&format!("link set {twin}-far up"));
    }
}

fn config() -> Config {
    config::parse(Path::new("test.toml"), TEXT).unwrap_or_else(|error| panic!("{error}")).config
}

async fn the_kernels_routes_are_known() {
    twins();
    ip("link add eth0 type veth peer name eth0-far");
    ip("addr add 172.16.0.1/24 dev eth0");
    ip("link set eth0 up");
    ip("route add default via 192.0.2.1 dev wan0");
    ip("route add 10.9.0.0/16 via 172.16.0.9 dev eth0");
    ip("route add blackhole 203.0.113.10 proto 109");
    ip("neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev wan0 nud permanent");
    let config = config();
    let kernel = Kernel::open(&config, &config.mirror.clone().expect("asked for")).expect("netlink answers");
    let mut known = Known { kernel, learned: Learned::default() };

    // What is there; ports' own networks, what is by other interfaces and announced VIPs are not.
    known.becomes(&[("0.0.0.0/0", &[(0, 1, 1)])]).await;
    let station = (PortId(0), IpAddr::from([192, 0, 2, 9]));
    assert_eq!(known.learned.neighbors.get(&station), Some(&[2, 0, 0, 0, 0, 9]));

    // What comes, goes and changes.
    ip("route replace default nexthop via 192.0.2.1 dev wan0 weight 2 nexthop via 10.0.0.254 dev lan0 weight 1");
    ip("route add 10.8.0.0/16 via 192.0.2.3 dev wan0 metric 50");
    ip("route add 10.8.0.0/16 via 10.0.0.3 dev lan0 metric 20");
    ip("route append 10.8.0.0/16 via 10.0.0.4 dev lan0 metric 20");
    ip("route add unreachable 10.7.0.0/16");
    let default: Route<'_> = ("0.0.0.0/0", &[(0, 1, 2), (1, 254, 1)]);
    let none: Route<'_> = ("10.7.0.0/16", &[]);
    let [first, second, third]: [Route<'_>; 3] =
        [("10.8.0.0/16", &[(1, 3, 1)]), ("10.8.0.0/16", &[(1, 4, 1)]), ("10.8.0.0/16", &[(0, 3, 1)])];
    known.becomes(&[default, none, first, second, third]).await;
    ip("route del 10.8.0.0/16 via 10.0.0.3 dev lan0 metric 20");
    ip("route del unreachable 10.7.0.0/16");
    ip("route replace 10.9.0.0/16 via 192.0.2.4 dev wan0");
    known.becomes(&[default, second, third, ("10.9.0.0/16", &[(0, 4, 1)])]).await;
    ip("route replace 10.9.0.0/16 via 172.16.0.9 dev eth0");
    known.becomes(&[default, second, third]).await;
    ip("neigh del 192.0.2.9 dev wan0");
    ip("route del 10.8.0.0/16 metric 20");
    known.becomes(&[default, third]).await;
    assert!(known.learned.neighbors.is_empty());

    // What the kernel forgets without a word.
    ip("link set wan0 down");
    known.becomes(&[("0.0.0.0/0", &[(1, 254, 1)])]).await;
    ip("link set wan0 up");
    known.becomes(&[("0.0.0.0/0", &[(0, 1, 2), (1, 254, 1)])]).await;
    ip("addr del 192.0.2.2/24 dev wan0");
    ip("link del lan0");
    known.becomes(&[]).await;
    ip("link add lan0 type veth peer name lan0-far");
    ip("addr add 10.0.0.1/24 dev lan0");
    ip("link set lan0 up");
    ip("route add 10.6.0.0/16 via 10.0.0.6 dev lan0");
    known.becomes(&[("10.6.0.0/16", &[(1, 6, 1)])]).await;
}

/// After the other, and on the same twins.
async fn so_are_those_of_ipv6() {
    ip("link del wan0");
    ip("link del lan0");
    twins();
    let mut config = config();
    for (port, twin) in [("a", "wan0"), ("b", "lan0")] {
        let own = format!("2001:db8:{port}::2/64");
        ip(&format!("addr add {own} dev {twin} nodad"));
        config.ports[usize::from(twin == "lan0")].addresses.push(own.parse().expect("an address"));
    }
    ip("route add default via 2001:db8:a::1 dev wan0");
    ip("route add blackhole 2001:db8:ff::10 proto 109");
    ip("neigh add 2001:db8:a::9 lladdr 02:00:00:00:00:09 dev wan0 nud permanent");
    let kernel = Kernel::open(&config, &config.mirror.clone().expect("asked for")).expect("netlink answers");
    let mut known = Known { kernel, learned: Learned::default() };

    // What is there; link-local and multicast networks are not.
    let default: Route<'_> = ("::/0", &[(0, 1, 1)]);
    known.becomes(&[default]).await;
    let station = (PortId(0), "2001:db8:a::9".parse().expect("an address"));
    assert_eq!(known.learned.neighbors.get(&station), Some(&[2, 0, 0, 0, 0, 9]));

    // What comes, goes and changes.
    ip("route add 2001:db8:8::/48 via 2001:db8:a::3 dev wan0 metric 50");
    ip("route add 2001:db8:8::/48 via 2001:db8:b::3 dev lan0 metric 20");
    let of_50: Route<'_> = ("2001:db8:8::/48", &[(0, 3, 1)]);
    known.becomes(&[default, ("2001:db8:8::/48", &[(1, 3, 1)]), of_50]).await;
    ip("route append 2001:db8:8::/48 via 2001:db8:b::4 dev lan0 metric 20");
    known.becomes(&[default, ("2001:db8:8::/48", &[(1, 3, 1), (1, 4, 1)]), of_50]).await;
    ip("route del 2001:db8:8::/48 via 2001:db8:b::3 dev lan0 metric 20");
    known.becomes(&[default, ("2001:db8:8::/48", &[(1, 4, 1)]), of_50]).await;
    ip("route del 2001:db8:8::/48 metric 50");
    ip(
        "-6 route replace default nexthop via 2001:db8:a::1 dev wan0 weight 2 nexthop via 2001:db8:b::fe dev lan0 weight 1",
    );
    let several: Route<'_> = ("::/0", &[(0, 1, 2), (1, 254, 1)]);
    known.becomes(&[several, ("2001:db8:8::/48", &[(1, 4, 1)])]).await;
    ip("route add 2001:db8:9::/48 via fe80::5 dev lan0");
    ip("neigh del 2001:db8:a::9 dev wan0");
    known.becomes(&[several, ("2001:db8:8::/48", &[(1, 4, 1)]), ("2001:db8:9::/48", &[(1, 5, 1)])]).await;
    assert!(known.learned.neighbors.is_empty());

    // What the kernel forgets without a word. It does not tell the weight of one alone.
    ip("link del lan0");
    known.becomes(&[default]).await;
}
