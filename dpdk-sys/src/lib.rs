//! Raw bindings to the system's libdpdk: generated, unsafe, without opinions.
//!
//! `build.rs` holds the list of what is bound; `shim.h` holds what needs a line of C first. Inline functions are
//! bound through compiled wrappers, one call each, so they are for bursts; mbuf fields are read by the
//! `DPDK_MBUF_*` offsets instead.

// What follows is C's names and bindgen's hand.
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(unsafe_op_in_unsafe_fn)]
#![allow(clippy::all, clippy::pedantic)]

/// The version of the libdpdk this was built against, as pkg-config tells it.
pub const DPDK_VERSION: &str = env!("DPDK_VERSION");

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
