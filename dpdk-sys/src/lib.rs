//! Raw bindings to the system's libdpdk: generated, unsafe, without opinions.
