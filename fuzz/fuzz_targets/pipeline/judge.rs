//! What is wrong with a frame that the director sent.

use super::sums::{Packet, Verdict, add, read, split};

/// Tells what is wrong with a frame; with its transport's sum only if `sound`, that is, if nothing unsound came in.
pub fn judge(frame: &[u8], sound: bool) -> Result<(), String> {
    let Some((ethertype, packet)) = split(frame) else { return Err("no Ethernet header".into()) };
    match ethertype {
        0x0806 => arp(packet),
        0x0800 | 0x86dd => ip(packet, ethertype, sound, false),
        other => Err(format!("Ethernet type {other:#06x}")),
    }
}

fn arp(packet: &[u8]) -> Result<(), String> {
    match packet.get(..28) {
        Some([0, 1, 8, 0, 6, 4, 0, 1 | 2, ..]) => Ok(()),
        _ => Err("no ARP message for IPv4 over Ethernet".into()),
    }
}

fn ip(packet: &[u8], ethertype: u16, sound: bool, inner: bool) -> Result<(), String> {
    let (header, end, hops, transport) = match read(packet, ethertype) {
        Packet::Ip { v4_header, end, hops, transport } => (v4_header, end, hops, transport),
        Packet::Wrong(what) => return Err(what.into()),
        Packet::Unknown => return Err("no IP packet".into()),
    };
    if header > 0 && add(0, &packet[..header]) != 0xffff {
        return Err("the IPv4 header's sum".into());
    }
    if hops == 0 {
        return Err("no hops left".into());
    }
    let Some(transport) = transport else { return Ok(()) };
    match transport.protocol {
        // A tunnel to a real server; what a client put into one is its own affair.
        4 | 41 if !inner => {
            let ethertype = if transport.protocol == 4 { 0x0800 } else { 0x86dd };
            ip(&packet[transport.start..end], ethertype, sound, true)
        }
        _ if sound && transport.verdict(packet) == Verdict::Unsound => {
            Err(format!("the sum of protocol {}", transport.protocol))
        }
        _ => Ok(()),
    }
}

/// Proves that the judge is listening.
pub fn listens() {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 8, 1, 1]);
    super::sums::mend(&mut frame);
    judge(&frame, true).expect("a sound frame");
    // The addresses, the ports and the sum; with a wrong length there is no telling.
    for octet in (26..38).chain(40..42) {
        let mut wrong = frame.clone();
        wrong[octet] ^= 1;
        judge(&wrong, true).expect_err("an unsound frame");
    }
    frame[17] += 1;
    judge(&frame, false).expect_err("a frame that is too short");
}
