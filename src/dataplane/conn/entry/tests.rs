use super::*;

#[test]
fn every_field_keeps_to_its_bits() {
    let all = Value::new(State::TEMPLATE_ASSURED, Tick::from_number(Tick::MASK), MAX_REAL_ID)
        .with_no_output(true)
        .with_unanswered(true)
        .with_sent(true)
        .with_learned(true)
        .with_controlled(true);
    assert_eq!(all.state(), State::TEMPLATE_ASSURED);
    assert_eq!(all.seen().number(), Tick::MASK);
    assert_eq!(all.real(), MAX_REAL_ID);
    assert_eq!((all.phase(), all.generation(), all.packets()), (Phase::Free, 0, 0));
    assert_eq!(all.0 >> 63, 0, "the spare bit stays 0");

    let cleared = all.answered().counted().uncounted();
    assert_eq!(cleared, all.with_no_output(false).with_unanswered(false));
    let cleared = cleared.with_sent(false).with_learned(false).with_controlled(false).with_real(RealId(0));
    assert_eq!(cleared, Value::new(State::TEMPLATE_ASSURED, Tick::from_number(Tick::MASK), RealId(0)));
}

#[test]
fn a_claim_counts_the_generation_on_and_a_release_keeps_it() {
    let content = Value::new(State::UDP, Tick::from_number(9), RealId(3));
    let mut free = Value(0);
    for claim in 1..=40 {
        let pending = content.claiming(free, Phase::Pending);
        assert_eq!(pending.phase(), Phase::Pending);
        assert_eq!(pending.generation(), claim % 32);
        assert_eq!((pending.state(), pending.real()), (State::UDP, RealId(3)));
        free = pending.in_phase(Phase::Dead).freed();
        assert_eq!(free.0, u64::from(claim % 32) << 2);
    }
}

#[test]
fn touching_writes_only_after_two_ticks() {
    let seen = Tick::from_number(Tick::MASK);
    let value = Value::new(State::TCP_ESTABLISHED, seen, RealId(1));
    assert_eq!(value.touched(seen), value);
    assert_eq!(value.touched(seen.after(1)), value);
    assert_eq!(value.touched(seen.after(2)).seen(), seen.after(2));
    assert_eq!(value.touched(Tick::from_number(Tick::MASK - 1)), value, "an older clock changes nothing");
}

#[test]
fn a_change_of_state_is_timed_and_untold() {
    let seen = Tick::from_number(50);
    let value = Value::new(State::TCP_SYN_RECV, seen, RealId(1)).with_sent(true);
    assert_eq!(value.in_state(State::TCP_SYN_RECV, seen.after(1)), value);
    let open = value.in_state(State::TCP_ESTABLISHED, seen.after(1));
    assert_eq!((open.state(), open.seen(), open.sent()), (State::TCP_ESTABLISHED, seen.after(1), false));
}

#[test]
fn packets_are_counted_to_three() {
    let mut value = Value::new(State::UDP, Tick::default(), MAX_REAL_ID);
    for count in 0..20 {
        assert_eq!(value.packets(), count.min(3));
        value = value.counted();
    }
    assert_eq!(value.real(), MAX_REAL_ID);
    assert!(!value.no_output());
}

#[test]
fn a_link_gives_back_what_it_was_made_of() {
    let slot = Slot::from_number((1 << Slot::BITS) - 1);
    let forward = Value(31 << 2);
    let link = Link::new(slot, forward, Tick::from_number(Tick::MASK));
    let value = link.content();
    assert!(value.is_link());
    assert_eq!(Link::of(value), Some(link));
    assert_eq!((link.slot, link.generation), (slot, 31));
    assert_eq!(value.class(), Class::Uncounted);
    assert_eq!(Link::of(Value::new(State::UDP, Tick::default(), MAX_REAL_ID)), None);
}

#[test]
fn a_links_youth_lasts_two_ticks() {
    for start in [0, 1, 300, (1 << 13) - 1, Tick::MASK] {
        let made = Tick::from_number(start);
        let link = Link::new(Slot::from_number(0), Value(0), made);
        assert!(link.is_young(made) && link.is_young(made.after(1)), "{start}");
        assert!(!link.is_young(made.after(2)) && !link.is_young(made.after(4000)), "{start}");
        assert!(link.is_young(made.after(Tick::MASK)), "a clock one tick behind, {start}");
    }
}
