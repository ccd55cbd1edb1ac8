//! Words to the service manager, if there is one: sd_notify(3).

use sd_notify::NotifyState;

/// Says that packets are forwarded.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Says that the configuration is being applied again; follow it with [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(cause) => log::warn!("no monotonic time for the service manager: {cause}"),
    }
}

/// Says that the director is about to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Says that all is well, to its watchdog.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(state) {
        log::warn!("the service manager could not be told: {cause}");
    }
}
