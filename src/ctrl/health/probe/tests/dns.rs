//! DNS: servers that answer, and servers that lie.

use domain::base::iana::Rcode;
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Cname};
use proptest::prelude::*;

use super::super::dns::Question;
use super::udp::{answering, deaf, elsewhere};
use super::*;
use crate::ctrl::health::check::Dns;

fn dns(name: &str, record: &str) -> Dns {
    Dns { name: name.into(), record: record.into() }
}

fn name(text: &str) -> Name<Vec<u8>> {
    text.parse().unwrap()
}

/// An answer to a question, without records as yet.
fn answer(asked: &[u8], code: Rcode) -> AnswerBuilder<Vec<u8>> {
    MessageBuilder::new_vec().start_answer(&Message::from_octets(asked).unwrap(), code).unwrap()
}

/// The right answer to a question for an address.
fn right(asked: &[u8]) -> Vec<u8> {
    let mut answer = answer(asked, Rcode::NOERROR);
    answer.push((name("www.example"), 60, A::from_octets(192, 0, 2, 1))).unwrap();
    answer.finish()
}

/// What is said of a server that answers so.
async fn told(change: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (Kind, String) {
    failure(&Probe::Dns(dns("www.example", "A")), answering(move |asked| Some(change(asked))).await).await
}

fn protocol(text: &str) -> (Kind, String) {
    (Kind::Protocol, text.to_owned())
}

#[test]
fn an_answer_has_a_record_of_the_type_asked_for() {
    run(async {
        let server = answering(|asked| Some(right(asked))).await;
        for (name, record) in
            [("www.example", "A"), ("www.example.", "A"), ("WWW.Example", "A"), ("www.example", "ANY")]
        {
            ask(&Probe::Dns(dns(name, record)), server, AMPLE).await.unwrap();
        }
        let told = failure(&Probe::Dns(dns("www.example", "AAAA")), server).await;
        assert_eq!(told, (Kind::Body, "no AAAA record in the answer".to_owned()));
        let alias = answering(|asked| {
            let mut answer = answer(asked, Rcode::NOERROR);
            answer.push((name("www.example"), 60, Cname::new(name("a.example")))).unwrap();
            answer.push((name("a.example"), 60, A::from_octets(192, 0, 2, 1))).unwrap();
            Some(answer.finish())
        });
        ask(&Probe::Dns(dns("www.example", "A")), alias.await, AMPLE).await.unwrap();
    });
}

#[test]
fn the_root_can_be_asked_for() {
    run(async {
        let server = answering(|asked| Some([&asked[..2], &[0x80, 5], &asked[4..]].concat())).await;
        let told = failure(&Probe::Dns(dns(".", "SOA")), server).await;
        assert_eq!(told, (Kind::Status, "the server says REFUSED".to_owned()));
    });
}

#[test]
fn an_error_is_told() {
    run(async {
        for (code, text) in [(Rcode::NXDOMAIN, "NXDOMAIN"), (Rcode::SERVFAIL, "SERVFAIL"), (Rcode::REFUSED, "REFUSED")]
        {
            let told = told(move |asked| answer(asked, code).finish()).await;
            assert_eq!(told, (Kind::Status, format!("the server says {text}")));
        }
    });
}

#[test]
fn lies_are_no_answers() {
    run(async {
        let flag = |place: usize, bit: u8| {
            move |asked: &[u8]| {
                let mut answer = right(asked);
                answer[place] ^= bit;
                answer
            }
        };
        assert_eq!(told(flag(0, 1)).await, protocol("an answer to another question (id)"));
        assert_eq!(told(flag(2, 0x80)).await, protocol("a question instead of an answer"));
        assert_eq!(told(flag(2, 0x28)).await, protocol("a question instead of an answer"), "of another kind");
        assert_eq!(told(flag(2, 0x02)).await, protocol("the answer is truncated"));
        // The question's name, its type, and a second question that is not there.
        assert_eq!(told(flag(13, 1)).await, protocol("an answer to another question"));
        assert_eq!(told(flag(26, 0x1c)).await, protocol("an answer to another question"));
        assert_eq!(told(flag(5, 3)).await, protocol("the answer is garbled"));
        assert_eq!(told(<[u8]>::to_vec).await, protocol("a question instead of an answer"), "an echo");
        let told = late(&Probe::Dns(dns("www.example", "A")), elsewhere(right).await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
    });
}

#[test]
fn every_cut_answer_is_garbled() {
    let question = Question::new(&dns("www.example", "A")).unwrap();
    let whole = right(&question.request(7).unwrap());
    question.judge(7, &whole).unwrap();
    for octets in 0..whole.len() {
        let failure = question.judge(7, &whole[..octets]).unwrap_err();
        assert_eq!(failure.to_string(), "the answer is garbled", "{octets}");
    }
}

#[test]
fn a_refusal_is_noticed() {
    run(async {
        let told = failure(&Probe::Dns(dns("www.example", "A")), deaf().await).await;
        assert_eq!(told, (Kind::Refused, "port unreachable".to_owned()));
    });
}

#[test]
fn what_nobody_can_ask_is_refused_at_once() {
    let refusal = |dns: Dns| Prober::new(&Probe::Dns(dns)).unwrap_err().to_string();
    assert_eq!(refusal(dns("a..b", "A")), "name: nobody can ask for \"a..b\"");
    assert_eq!(refusal(dns(&"a".repeat(64), "A")), format!("name: nobody can ask for {:?}", "a".repeat(64)));
    assert_eq!(refusal(dns("www.example", "HELLO")), "record: nobody can ask for \"HELLO\"");
}

proptest! {
    #[test]
    fn noise_is_no_answer(noise in proptest::collection::vec(any::<u8>(), 0..600), from in 0usize..48) {
        let question = Question::new(&dns("www.example", "A")).unwrap();
        prop_assert!(question.judge(7, &noise).is_err());
        // Noise behind a good beginning may be right by chance; it must be judged.
        let mut half = right(&question.request(7).unwrap());
        half.truncate(from);
        half.extend_from_slice(&noise);
        let _ = question.judge(7, &half);
    }
}
