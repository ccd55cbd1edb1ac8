//! Numbers as C's library reads them.

use std::ops::RangeInclusive;

/// The longest timeout, in seconds: 31 days.
pub const LONGEST: i64 = 31 * 24 * 60 * 60;

/// A whole number in `range`: blanks before it and a sign are let pass, nothing may follow.
pub fn number(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    whole(text).filter(|number| range.contains(number))
}

fn whole(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    // One sign only; what `parse` takes for one too.
    text.parse().ok()
}

/// The number that a text begins with, 0 if it begins with none.
pub fn leading(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_all_there_is() {
        for (text, value) in [("7", Some(7)), (" 7", Some(7)), ("+7", Some(7)), ("007", Some(7)), ("0", Some(0))] {
            assert_eq!(number(text, 0..=9), value, "{text}");
        }
        for text in ["", "10", "-1", "7 ", "7x", "x", "0x7", "--7", "99999999999999999999"] {
            assert_eq!(number(text, 0..=9), None, "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_may_not_matter() {
        for (text, value) in [("64", 64), ("64x", 64), ("x", 0), ("", 0), ("-3", -3)] {
            assert_eq!(leading(text), value, "{text}");
        }
    }
}
