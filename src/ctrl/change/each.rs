//! Many changes of which some may be refused, for the price of few.
//!
//! What can be told of one change alone leaves out that change. What only the whole shows is looked for: all are tried at once; if
//! they are refused, what comes before the change to blame is tried alone, until that one stands first and is refused by
//! itself: it is left out, and the rest is tried again. Refusals seldom come alone, so after one the next trials are small, and
//! grow while all goes well.

use std::ops::Range;

use super::Refused;

/// How many changes are tried after a refusal.
const CAREFUL: usize = 16;

/// Tries `count` changes, in their order, and returns those that are refused, in no order; `attempt` makes those in a range on
/// top of what it made before, all or none.
pub(super) fn each(count: usize, mut attempt: impl FnMut(Range<usize>) -> Result<(), Refused>) -> Vec<Refused> {
    let (mut most, mut next, mut refused) = (count, 0, Vec::new());
    while next < count {
        let tried = most.min(count - next);
        let mut some = tried;
        loop {
            match attempt(next..next + some) {
                // Otherwise the one to blame is next.
                Ok(()) => {
                    most = if some == tried { most.saturating_mul(2) } else { 1 };
                    break;
                }
                Err(refusal) if some == 1 => {
                    refused.push(refusal.at(next));
                    most = CAREFUL;
                    break;
                }
                // Where several could be to blame, the half of them.
                Err(refusal) => {
                    let before = refusal.change.and_then(|place| place.checked_sub(next));
                    some = before.unwrap_or(some / 2).clamp(1, some - 1);
                }
            }
        }
        next += some;
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    /// Tries `count` changes where those in `wrong` are refused, blaming as `blame` says; returns what was made, what was
    /// refused, and how many trials that took.
    fn tried(
        count: usize,
        wrong: &[usize],
        blame: impl Fn(usize, Range<usize>) -> Option<usize>,
    ) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut made, mut trials) = (Vec::new(), 0);
        let refused = each(count, |range| {
            trials += 1;
            if let Some(place) = range.clone().find(|place| wrong.contains(place)) {
                return Err(Refused { kind: Kind::Invalid, error: String::new(), change: blame(place, range) });
            }
            made.extend(range);
            Ok(())
        });
        (made, refused.iter().filter_map(|refused| refused.change).collect(), trials)
    }

    #[test]
    fn what_all_goes_well_is_tried_at_once() {
        let (made, refused, trials) = tried(2_000, &[], |place, _| Some(place));
        assert_eq!((made.len(), refused.len(), trials), (2_000, 0, 1));
        assert_eq!(tried(0, &[], |place, _| Some(place)).2, 0);
    }

    #[test]
    fn each_refusal_leaves_out_one_and_keeps_the_order() {
        for wrong in [&[0][..], &[999], &[0, 1, 2], &[5, 500, 501, 998]] {
            let (made, refused, trials) = tried(1000, wrong, |place, _| Some(place));
            assert_eq!(made, (0..1000).filter(|place| !wrong.contains(place)).collect::<Vec<_>>());
            assert_eq!(refused, wrong);
            assert!(trials < 14 * wrong.len() + 8, "{wrong:?}: {trials}");
        }
    }

    #[test]
    fn the_wrong_one_blamed_or_none_is_found_all_the_same() {
        type Blame = fn(usize, Range<usize>) -> Option<usize>;
        let blames: [Blame; 4] = [|_, _| None, |_, all| Some(all.end - 1), |_, all| Some(all.end), |_, _| Some(0)];
        for blame in blames {
            let (made, refused, _) = tried(100, &[3, 40, 41, 99], blame);
            assert_eq!((made.len(), refused), (96, vec![3, 40, 41, 99]));
        }
    }
}
