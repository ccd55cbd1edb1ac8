//! Numbers in columns: large ones are shortened, unless `-X` asks for them as they are.

/// From these numbers on, a number is divided and has a letter behind it.
const STEPS: [(u64, u64, char); 4] = [
    (100_000_000_000_000, 1_000_000_000_000, 'T'),
    (100_000_000_000, 1_000_000_000, 'G'),
    (1_000_000_000, 1_000_000, 'M'),
    (100_000_000, 1_000, 'K'),
];

/// Writes a number into a column of nine, the first a blank; an exact one is as long as it is.
pub fn amount(number: u64, exact: bool) -> String {
    if exact {
        return format!(" {number:>8}");
    }
    match STEPS.iter().find(|(from, ..)| number >= *from) {
        Some((_, divisor, letter)) => format!("{:>8}{letter}", number / divisor),
        None => format!("{number:>9}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_shortened_unless_exact() {
        for (number, short, exact) in [
            (0, "        0", "        0"),
            (99_999_999, " 99999999", " 99999999"),
            (100_000_000, "  100000K", " 100000000"),
            (999_999_999, "  999999K", " 999999999"),
            (1_000_000_000, "    1000M", " 1000000000"),
            (99_999_999_999, "   99999M", " 99999999999"),
            (100_000_000_000, "     100G", " 100000000000"),
            (100_000_000_000_000, "     100T", " 100000000000000"),
        ] {
            assert_eq!((amount(number, false).as_str(), amount(number, true).as_str()), (short, exact));
        }
    }
}
