//! The `[announce]` table.

use super::*;

#[test]
fn vips_are_announced_where_that_is_asked_for() {
    let announce = |text: &str| accept(&format!("{text}\n{PORTS}")).announce;
    assert_eq!(announce(""), None);
    assert_eq!(announce("[announce]"), Some(Announce { protocol: 109, table: 254 }));
    assert_eq!(announce("[announce]\nprotocol = 77\ntable = 1000"), Some(Announce { protocol: 77, table: 1000 }));
}

#[test]
fn routes_of_others_and_addresses_of_the_host_are_not_touched() {
    for (text, expected) in [
        ("protocol = 12", "12 is not in the range 19 to 255"),
        ("protocol = 256", "256 is not in the range 19 to 255"),
        ("table = 0", "0 is not in the range 1 to 4294967295"),
        ("table = 255", "255 is the kernel's table of the host's own addresses"),
    ] {
        let key = text.split(' ').next().unwrap();
        assert_eq!(refusal(&format!("[announce]\n{text}\n{PORTS}")), format!("2: announce.{key}: {expected}"));
    }
}
