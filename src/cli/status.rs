//! What the program ends with: one number means one thing, whatever the command. `ipvsadm` has its own: ipvsadm's.

/// What was asked for was not done, or cannot be said.
pub const NOT_DONE: u8 = 1;
/// The arguments, a configuration or a list of changes has a mistake in it.
pub const MISTAKE: u8 = 2;
/// No director answers.
pub const NO_DIRECTOR: u8 = 3;

/// Each status with what it means, in the order of the numbers.
pub const MEANINGS: [(u8, &str); 4] = [
    (0, "What was asked for is done. For diff: the file has nothing that does not run."),
    (
        NOT_DONE,
        "It is not done: refused, failed, needs a restart, or there is no such thing. For diff: there is a difference. \
         For drain --wait: connections are left, or packets still come.",
    ),
    (MISTAKE, "The arguments, the configuration or the list of changes has a mistake in it. Nothing was changed."),
    (NO_DIRECTOR, "No director answers."),
];
