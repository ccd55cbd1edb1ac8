//! What may happen that somebody wants to be told of.

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A real server fails its checks, and takes no new connections.
    ServerDown,
    /// A real server passes its checks again.
    ServerUp,
    /// An operator has taken a real server out, whatever its checks say.
    MaintenanceOn,
    /// An operator leaves a real server to its checks again.
    MaintenanceOff,
    /// A service has fewer real servers than it needs.
    QuorumDown,
    /// A service has as many real servers as it needs again.
    QuorumUp,
    /// The director is about to hand its services to others.
    DirectorDraining,
    /// The director takes part again.
    DirectorActive,
}

impl Event {
    /// All there are, each with its name: in the configuration, in a webhook and for a command.
    pub const ALL: &[(&str, Self)] = &[
        ("server_down", Self::ServerDown),
        ("server_up", Self::ServerUp),
        ("maintenance_on", Self::MaintenanceOn),
        ("maintenance_off", Self::MaintenanceOff),
        ("quorum_down", Self::QuorumDown),
        ("quorum_up", Self::QuorumUp),
        ("director_draining", Self::DirectorDraining),
        ("director_active", Self::DirectorActive),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, event)| *event == self).map_or("", |(name, _)| name)
    }

    /// What whoever it is about is now, as keepalived says it where keepalived has a word for it.
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::ServerUp | Self::QuorumUp => "UP",
            Self::ServerDown | Self::QuorumDown => "DOWN",
            Self::MaintenanceOn => "MAINTENANCE",
            Self::MaintenanceOff | Self::DirectorActive => "ACTIVE",
            Self::DirectorDraining => "DRAINING",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_name_of_its_own() {
        for (name, event) in Event::ALL {
            assert_eq!(event.name(), *name);
            assert_eq!(Event::ALL.iter().filter(|(other, _)| other == name).count(), 1);
        }
    }
}
