//! The configuration file: TOML in, a checked [`Config`] out. A wrong file is refused here and nowhere later.

mod model;

pub use model::{Api, Config, Director, Neighbor, Poll, Port, Queues, Real, Route, Service, ServiceKey, Transit};
