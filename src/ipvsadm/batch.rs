//! Many changes in few transactions, with the outcome of one transaction for each.
//!
//! A transaction applies whole or not at all, and costs the director the same whether it holds one change or ten thousand. So
//! all are sent at once. If they are refused, what comes before the change to blame is sent alone, until that one stands
//! first and is refused by itself: it is reported and left out, and the rest is sent again. Refusals seldom come alone, so
//! after one the next transactions are small, and grow while all goes well.

use crate::ctrl::change::{Change, Refused};

/// How many changes are sent after a refusal.
const CAREFUL: usize = 16;
/// How many at most: so many fit into one request, at 335 octets each.
pub const MOST: usize = 100_000;

/// Sends changes, in their order; `refused` hears of each that is not made, by its place.
///
/// # Errors
/// What `send` could not send at all; the rest is not sent.
pub fn submit<E>(
    changes: &[Change],
    mut send: impl FnMut(&[Change]) -> Result<Result<(), Refused>, E>,
    mut refused: impl FnMut(usize, &Refused),
) -> Result<(), E> {
    let (mut most, mut next) = (MOST, 0);
    while next < changes.len() {
        let rest = &changes[next..];
        let tried = rest.len().min(most);
        let mut count = tried;
        loop {
            match send(&rest[..count])? {
                Ok(()) if count == tried => {
                    most = (most * 2).min(MOST);
                    break;
                }
                // The one to blame is next.
                Ok(()) => {
                    most = 1;
                    break;
                }
                Err(refusal) if count == 1 => {
                    refused(next, &refusal);
                    most = CAREFUL;
                    break;
                }
                // Where several could be to blame, the half of them.
                Err(refusal) => count = refusal.change.unwrap_or(count / 2).clamp(1, count - 1),
            }
        }
        next += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctrl::change::Kind;
    use crate::ctrl::config::document::Table;

    fn mark(mark: u32) -> Change {
        Change::RemoveService { service: Table::from_iter([("mark", mark)]) }
    }

    /// Submits `count` changes to a director that refuses those in `wrong`, blaming as `blame` says; returns what was
    /// made, what was refused, and how often was sent.
    fn submitted(
        count: u32,
        wrong: &[u32],
        blame: impl Fn(usize, usize) -> Option<usize>,
    ) -> (Vec<Change>, Vec<Change>, usize) {
        let changes: Vec<_> = (0..count).map(mark).collect();
        let wrong: Vec<_> = wrong.iter().copied().map(mark).collect();
        let (mut made, mut left_out, mut sent) = (Vec::new(), Vec::new(), 0);
        let send = |some: &[Change]| {
            sent += 1;
            if let Some(place) = some.iter().position(|change| wrong.contains(change)) {
                let refused = Refused { kind: Kind::Invalid, error: String::new(), change: blame(place, some.len()) };
                return Ok(Err(refused));
            }
            made.extend_from_slice(some);
            Ok::<_, ()>(Ok(()))
        };
        submit(&changes, send, |place, _| left_out.push(changes[place].clone())).unwrap();
        (made, left_out, sent)
    }

    #[test]
    fn what_all_goes_well_is_sent_at_once() {
        let (made, refused, sent) = submitted(2_000, &[], |place, _| Some(place));
        assert_eq!((made.len(), refused.len(), sent), (2_000, 0, 1));
        assert_eq!(submitted(MOST as u32 + 1, &[], |place, _| Some(place)).2, 2);
    }

    #[test]
    fn each_refusal_leaves_out_one_and_keeps_the_order() {
        for wrong in [&[0][..], &[999], &[0, 1, 2], &[5, 500, 501, 998]] {
            let (made, refused, sent) = submitted(1000, wrong, |place, _| Some(place));
            let expected = |wanted: bool| (0..1000).filter(move |n| wrong.contains(n) == wanted).map(mark);
            assert_eq!(made, expected(false).collect::<Vec<_>>());
            assert_eq!(refused, expected(true).collect::<Vec<_>>());
            assert!(sent < 14 * wrong.len() + 8, "{wrong:?}: {sent}");
        }
    }

    #[test]
    fn the_wrong_one_blamed_or_none_is_found_all_the_same() {
        for blame in [|_, _| None, |_, all| Some(all - 1), |_, all| Some(all), |_, _| Some(0)] {
            let (made, refused, _) = submitted(100, &[3, 40, 41, 99], blame);
            assert_eq!((made.len(), refused), (96, [3, 40, 41, 99].map(mark).to_vec()));
        }
    }

    #[test]
    fn what_cannot_be_sent_ends_it() {
        assert_eq!(submit(&[mark(1), mark(2)], |_| Err("gone"), |_, _| panic!("nobody refused")), Err("gone"));
    }
}
