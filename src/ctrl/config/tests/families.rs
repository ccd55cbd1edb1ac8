//! IPv6, wherever a configuration may have an address: as it is read and checked, below what the data plane does not do yet.

use toml::de::DeTable;

use super::*;

/// Lines 1 to 9 of most cases.
const SIX: &str = "\
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24', '2001:db8:a::2/64']
[[port]]
name = 'lan'
device = 'net_ring1'
twin = 'lan0'
addresses = ['10.0.0.1/24', '2001:db8:b::1/64']
";

fn read(text: &str) -> Result<Config, String> {
    let root = DeTable::parse(text).unwrap();
    let source = Source::of_file(Path::new("x.toml"), text, root.get_ref());
    let config = read::file(&source, &root.into_inner().into());
    let checked = config.and_then(|config| check::between(&config, &source).map(|()| config));
    checked.map_err(|error| error.to_string().strip_prefix("x.toml:").unwrap().to_owned())
}

fn accept(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refusal(text: &str) -> String {
    read(text).expect_err(text)
}

fn notes(text: &str) -> Vec<String> {
    let root = DeTable::parse(text).unwrap();
    let source = Source::of_file(Path::new("x.toml"), text, root.get_ref());
    Loaded { config: accept(text), source }.notes().iter().map(ConfigError::to_string).collect()
}

fn name(service: &str) -> String {
    let service = &accept(&format!("{SIX}[[service]]\n{service}\n")).services[0];
    format!("{} {}", service.selector.protocol(), service.selector)
}

#[test]
fn addresses_are_written_as_rfc_5952_has_them() {
    for (written, said) in [
        ("address = '[2001:DB8:0:0::10]:80'", "TCP [2001:db8::10]:80"),
        ("address = '[2001:db8::10]:0'", "TCP [2001:db8::10]:0"),
        ("address = '2001:db8::10'\nprotocol = 'icmp'", "ICMP 2001:db8::10"),
        ("address = '[2001:db8::10-2001:db8::10]:80'", "TCP [2001:db8::10]:80"),
        ("address = '[2001:db8::10/128]:1-65535'", "TCP [2001:db8::10]:0"),
        ("address = '[2001:db8::10]:8000-8999'", "TCP [2001:db8::10]:8000-8999"),
        ("address = '[2001:db8::/64]:80'", "TCP [2001:db8::/64]:80"),
        ("address = '[2001:db8::-2001:db8::f]:0'", "TCP [2001:db8::/124]:0"),
        ("address = '[2001:db8::1-2001:db8::9]:80'", "TCP [2001:db8::1-2001:db8::9]:80"),
        ("match = { to = '2001:db8::/32', port = 443 }", "IP to [2001:db8::/32]:443"),
        ("match = { from = '2001:db8::/32' }", "IP from 2001:db8::/32 to [::/0]:0"),
        ("match = { to = '::/0' }", "IP to [::/0]:0"),
        ("mark = 7", "FWM 7"),
        ("mark = 7\nfamily = 'ipv6'", "FWM 7 IPv6"),
    ] {
        assert_eq!(name(written), said, "{written}");
    }
}

#[test]
fn what_is_no_address_of_a_service() {
    for (text, expected) in [
        ("address = '2001:db8::10'", "address: \"2001:db8::10\" has no port; write \"[2001:db8::10]:80\""),
        (
            "address = '2001:db8::/64:80'",
            "address: \"2001:db8::/64:80\" does not say where IPv6 ends and the port begins; write \"[2001:db8::/64]:80\"",
        ),
        (
            "address = '2001:db8::/64'",
            "address: \"2001:db8::/64\" does not say where IPv6 ends and the port begins; write \"[2001:db8::/64]:80\"",
        ),
        (
            "address = '[2001:db8::/64]'",
            "address: \"[2001:db8::/64]\" has no port; write \"[2001:db8::/64]:80\", or \"[2001:db8::/64]:0\" for every port",
        ),
        (
            "address = '[::ffff:192.0.2.1]:80'",
            "address: ::ffff:192.0.2.1 is an IPv4 address mapped into IPv6: write \"192.0.2.1\"",
        ),
        ("address = '[fe80::1]:80'", "address: fe80::1 is a link-local address, which does not say on which link"),
        ("address = '[fe80::1%2]:80'", "address: \"[fe80::1%2]:80\" has a zone, and zones mean nothing here"),
        (
            "address = '[2001:db8::1%wan]:80'",
            "address: \"[2001:db8::1%wan]:80\" has a zone, and zones mean nothing here",
        ),
        ("address = '[::]:80'", "address: :: is the unspecified address, not a host's"),
        ("address = '[::1]:80'", "address: ::1 is a loopback address, not a host's"),
        ("address = '[ff02::1]:80'", "address: ff02::1 is a multicast address, not a host's"),
        (
            "address = '[2001:db8::1/64]:80'",
            "address: \"2001:db8::1/64\" has host bits set; the network is 2001:db8::/64",
        ),
        (
            "address = '[10.0.0.7-2001:db8::1]:80'",
            "address: the range 10.0.0.7-2001:db8::1 begins in IPv4 and ends in IPv6",
        ),
        (
            "match = { from = '10.0.0.0/8', to = '2001:db8::/64' }",
            "match.from: 10.0.0.0/8 is IPv4, and \"to\" is IPv6: no packet has both",
        ),
        (
            "match = { to = '::ffff:0:0/96' }",
            "match.to: ::ffff:0.0.0.0 is an IPv4 address mapped into IPv6: write \"0.0.0.0\"",
        ),
    ] {
        assert_eq!(refusal(&format!("{SIX}[[service]]\n{text}\n")), format!("11: service[0].{expected}"), "{text}");
    }
    for (text, expected) in [
        (
            "address = '[2001:db8::1]:80'\nfamily = 'ipv6'",
            "family: the addresses say it: it is for a mark's service, which has none",
        ),
        ("mark = 7\nfamily = 'ip6'", "family: \"ip6\" is unknown; did you mean \"ipv6\"?"),
        (
            "address = '[2001:db8::/64]:80'\nvips = ['2001:db8::7', '10.0.0.7']",
            "vips[1]: 10.0.0.7 is not one of the service's addresses, 2001:db8::/64",
        ),
        (
            "address = '[2001:db8::/64]:80'\nvips = ['2001:db8::/65']",
            "vips[0]: 9223372036854775808 addresses are too many to answer for: 4096 are possible",
        ),
        (
            "address = '[2001:db8::1]:80'\npersistence = { mask = '255.255.255.0' }",
            "persistence.mask: of IPv6 a mask is a prefix length; write 64",
        ),
        (
            "address = '[2001:db8::1]:80'\npersistence = { mask = 0 }",
            "persistence.mask: 0 is not in the range 1 to 128",
        ),
        ("address = '203.0.113.1:80'\npersistence = { mask = 33 }", "persistence.mask: 33 is not in the range 0 to 32"),
    ] {
        assert_eq!(refusal(&format!("{SIX}[[service]]\n{text}\n")), format!("12: service[0].{expected}"), "{text}");
    }
}

#[test]
fn persistence_is_of_one_client_if_nothing_is_said() {
    for (service, prefix) in [
        ("address = '203.0.113.1:80'\npersistence = {}", 32),
        ("address = '[2001:db8::1]:80'\npersistence = {}", 128),
        ("address = '[2001:db8::1]:80'\npersistence = { mask = 64 }", 64),
        ("mark = 7\nfamily = 'ipv6'\npersistence = {}", 128),
    ] {
        let config = accept(&format!("{SIX}[[service]]\n{service}\n"));
        assert_eq!(config.services[0].persistence.unwrap().prefix, prefix, "{service}");
    }
}

#[test]
fn only_a_tunnel_leads_to_the_other_family() {
    let text = |service: &str, real: &str, forwarding: &str| {
        format!(
            "{SIX}[[service]]\naddress = '{service}'\nreal = [{{ address = '{real}', forwarding = '{forwarding}' }}]\n"
        )
    };
    for (service, [same, other], said) in [
        ("203.0.113.1:80", ["10.0.0.7", "2001:db8:b::7"], "2001:db8:b::7 is IPv6, its service 203.0.113.1:80 is IPv4"),
        ("[2001:db8::1]:80", ["2001:db8:b::7", "10.0.0.7"], "10.0.0.7 is IPv4, its service [2001:db8::1]:80 is IPv6"),
    ] {
        for forwarding in ["nat", "direct", "tunnel"] {
            let config = accept(&text(service, same, forwarding));
            assert_eq!(config.services[0].reals[0].address.port(), 80);
        }
        for forwarding in ["nat", "direct"] {
            let said = format!("12: service[0].real[0].address: {said}: only tunnels lead from one to the other");
            assert_eq!(refusal(&text(service, other, forwarding)), said);
        }
        let config = accept(&text(service, other, "tunnel"));
        assert_eq!(config.services[0].reals[0].address.port(), 80);
    }
    let marked =
        |real: &str| format!("{SIX}[[service]]\nmark = 7\nfamily = 'ipv6'\nreal = [{{ address = '{real}' }}]\n");
    accept(&marked("2001:db8:b::7"));
    assert!(
        refusal(&marked("10.0.0.7"))
            .ends_with("10.0.0.7 is IPv4, its service 7 IPv6 is IPv6: only tunnels lead from one to the other")
    );
}

#[test]
fn the_host_is_a_real_server_of_either_family() {
    let real = |service: &str, real: &str| {
        accept(&format!("{SIX}[[service]]\naddress = '{service}'\nreal = [{{ address = '{real}' }}]\n")).services[0]
            .reals[0]
            .clone()
    };
    for (service, host, answers_from) in [
        ("203.0.113.1:80", "127.0.0.1", "127.0.0.1:80"),
        ("[2001:db8::1]:80", "::1", "[::1]:80"),
        ("[2001:db8::1]:80", "[2001:db8:b::1]:8080", "[::1]:8080"),
    ] {
        let real = real(service, host);
        assert_eq!((real.forwarding, real.answers_from().to_string().as_str()), (Forwarding::Local, answers_from));
    }
    let none = SIX.replace(", '2001:db8:b::1/64'", "");
    let text = format!("{none}[[service]]\naddress = '[2001:db8::1]:80'\nreal = [{{ address = '::1' }}]\n");
    assert_eq!(
        refusal(&text),
        "12: service[0].real[0].address: the real server ::1 is the host, and no port with an address has a twin, by which \
         it could be reached"
    );
}

#[test]
fn networks_routes_and_neighbours() {
    let head = "[[port]]\nname = 'a'\ndevice = 'net_ring0'\n";
    for (text, expected) in [
        ("addresses = ['2001:db8::2']", "addresses[0]: \"2001:db8::2\" has no prefix length; write \"2001:db8::2/64\""),
        (
            "addresses = ['2001:db8::/64']",
            "addresses[0]: 2001:db8:: is the address of the network 2001:db8::/64 or its broadcast address",
        ),
        (
            "addresses = ['fe80::2/64']",
            "addresses[0]: fe80::2 is a link-local address, which does not say on which link",
        ),
        (
            "addresses = ['::ffff:10.0.0.1/120']",
            "addresses[0]: ::ffff:10.0.0.1 is an IPv4 address mapped into IPv6: write \"10.0.0.1\"",
        ),
        (
            "mtu = 1279\naddresses = ['2001:db8::2/64']",
            "mtu: 1279 is too little for IPv6: 2001:db8::2 needs 1280 octets",
        ),
    ] {
        assert_eq!(refusal(&format!("{head}{text}\n")), format!("4: port[0].{expected}"), "{text}");
    }
    accept(&format!("{head}mtu = 1280\naddresses = ['2001:db8::/127', '2001:db8::1:1/128']\n"));
    for (text, expected) in [
        ("to = '::/0'\nvia = '192.0.2.1'", "12: route[0].via: 192.0.2.1 is IPv4, the destination ::/0 is IPv6"),
        (
            "to = '0.0.0.0/0'\nvia = ['192.0.2.1', '2001:db8:a::1']",
            "12: route[0].via[1]: 2001:db8:a::1 is IPv6, the destination 0.0.0.0/0 is IPv4",
        ),
        (
            "to = '::/0'\nvia = 'fe80::1'",
            "12: route[0].via: fe80::1 is a link-local address, which does not say on which link",
        ),
        ("to = '::/0'\nvia = '2001:db8:c::1'", "12: route[0].via: the gateway 2001:db8:c::1 is on no port's network"),
        (
            "to = '2001:db8::1/64'\nvia = '2001:db8:a::1'",
            "11: route[0].to: \"2001:db8::1/64\" has host bits set; the network is 2001:db8::/64",
        ),
    ] {
        assert_eq!(refusal(&format!("{SIX}[[route]]\n{text}\n")), expected, "{text}");
    }
    let text = format!(
        "{SIX}[[route]]\nto = '::/0'\nvia = ['2001:db8:a::1', '2001:db8:b::2']\n\
         [[neighbor]]\naddress = '2001:db8:b::9'\nmac = '02:00:00:00:00:09'\n"
    );
    let config = accept(&text);
    assert_eq!(config.reach("2001:db8:ffff::1".parse().unwrap()), Some(Reach::Gateway(&config.routes[0])));
    assert_eq!(config.reach("192.0.2.9".parse().unwrap()), Some(Reach::OnLink(0)));
    assert_eq!(config.reach("203.0.113.9".parse().unwrap()), None);
}

#[test]
fn checks_through_a_vip_are_of_ipv4() {
    let text = |service: &str, real: &str| {
        format!(
            "{SIX}[[service]]\naddress = '{service}'\nforwarding = 'tunnel'\n\
             real = [{{ address = '{real}', check = {{ type = 'tcp', through = 'vip' }} }}]\n"
        )
    };
    accept(&text("203.0.113.1:80", "10.0.0.7"));
    for (service, real) in [("203.0.113.1:80", "2001:db8:b::7"), ("[2001:db8::1]:80", "10.0.0.7")] {
        assert_eq!(
            refusal(&text(service, real)),
            "13: service[0].real[0].check: stand-ins are IPv4: neither the service nor the real server may be IPv6"
        );
    }
}

#[test]
fn what_its_author_may_not_have_meant() {
    let text = format!(
        "{SIX}[[route]]\nto = '0.0.0.0/0'\nvia = '192.0.2.1'\n\
         [[service]]\naddress = '[2001:db8:b::8:0/112]:80'\nreal = [{{ address = '2001:db8:b:1::7' }}]\n\
         [[route]]\nto = '2001:db8:b:1::/64'\nvia = '2001:db8:b::2'\n"
    );
    let notes = notes(&text);
    let expected = [
        "x.toml:13: service[0]: note: on a port's network, and nobody answers neighbour solicitations for it: name what is to be \
         answered for in \"vips\"",
        "x.toml:13: service[0]: note: no route to ::/0: by NAT, answers reach only clients on known networks",
        "x.toml:15: service[0].real[0].address: note: behind a gateway: by NAT, its answers must be routed back through this \
         director",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn marks_are_one_familys() {
    let text = format!(
        "{SIX}[[mark]]\nmark = 7\nmatch = {{ to = '2001:db8::/64' }}\n[[mark]]\nmark = 8\nmatch = {{ port = 80 }}\n\
         [[service]]\nmark = 7\n[[service]]\nmark = 7\nfamily = 'ipv6'\n"
    );
    let config = accept(&text);
    let selectors: Vec<_> = config.services.iter().map(|service| service.selector).collect();
    assert_eq!(selectors[1], config.marks[0].selector());
    assert_ne!(selectors[0], selectors[1]);
    let notes = notes(&text);
    let unruled = "x.toml:16: service[0]: note: no rule gives its mark: write a [[mark]]";
    assert!(notes.iter().any(|note| note == unruled), "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("service[1]: note: no rule")), "{notes:?}");
}

#[test]
fn what_the_data_plane_does_not_do_is_said_where_it_is_written() {
    for (text, expected) in [
        ("[[service]]\naddress = '[2001:db8::1]:0'\n", "10: service[0].address: \"[2001:db8::1]:0\""),
        ("[[service]]\naddress = '[2001:db8::1]:80-90'\n", "10: service[0].address: \"[2001:db8::1]:80-90\""),
        ("[[service]]\nmatch = { to = '2001:db8::/64' }\n", "10: service[0].match: \"to [2001:db8::/64]:0\""),
        ("[[service]]\nmark = 7\nfamily = 'ipv6'\n", "10: service[0].mark: \"7 IPv6\""),
        ("[[mark]]\nmark = 7\nmatch = { to = '::/0' }\n", "11: mark[0].match: \"to [::/0]:0\""),
    ] {
        let said = super::refusal(&format!("{PORTS}{text}\n"));
        assert_eq!(
            said,
            format!("{expected}: IPv6 for several addresses or ports is not supported yet by this version"),
            "{text}"
        );
    }
}

#[test]
fn names_say_the_family_of_a_mark() {
    for (text, shown) in
        [("mark/7", "mark/7"), ("fwm 7", "mark/7"), ("mark/7/ipv6", "mark/7/ipv6"), ("FWM 7 IPv6", "mark/7/ipv6")]
    {
        let key = name::key(text).unwrap();
        let selector = parts::key(&key, "", &[]).unwrap();
        let (kind, rest) = name::parts(&write::key(&selector));
        assert_eq!(format!("{kind}/{rest}"), shown);
    }
    let six = name::key("[2001:db8::10]:80").unwrap();
    assert_eq!(parts::key(&six, "", &[]).unwrap().to_string(), "[2001:db8::10]:80");
    let ranged = name::key("udp/[2001:db8::/64]:53").unwrap();
    assert_eq!(parts::key(&ranged, "", &[]).unwrap().to_string(), "[2001:db8::/64]:53");
}

#[test]
fn a_file_with_both_families_is_written_as_it_was_read() {
    let text = "\
[[port]]
name = \"wan\"
device = \"net_ring0\"
addresses = [\"192.0.2.2/24\", \"2001:db8:a::2/64\"]

[[route]]
to = \"::/0\"
via = \"2001:db8:a::1\"

[[neighbor]]
address = \"2001:db8:a::9\"
mac = \"02:00:00:00:00:09\"

[[mark]]
mark = 7
match = { protocol = \"tcp\", to = \"2001:db8::/64\", port = \"8000-8999\" }

[[mark]]
mark = 8
match = { to = \"::/0\", port = 80 }

[[service]]
mark = 7
family = \"ipv6\"
vips = [\"2001:db8::1-2001:db8::2\"]
persistence = { timeout = 300, mask = 64 }

[[service]]
address = \"[2001:db8::10]:80\"
protocol = \"tcp\"
persistence = { timeout = 600 }
sorry_server = { address = \"[2001:db8:a::99]:80\" }

  [[service.real]]
  address = \"[2001:db8:a::b]:8080\"

  [[service.real]]
  address = \"192.0.2.11:80\"
  forwarding = \"tunnel\"

[[service]]
address = \"203.0.113.10:80\"
protocol = \"tcp\"
forwarding = \"tunnel\"

  [[service.real]]
  address = \"[2001:db8:a::c]:80\"
";
    assert_eq!(write::config(&accept(text)).to_toml(), text);
}
