//! A service's scheduler: its name, its flags, and the size of its table.

use super::model::Scheduler;
use super::section::{Item, Section};
use super::source::ConfigError;
use crate::dataplane::sched::{HashFlags, MH_SIZES};

/// Reads what a service says of its scheduler. ipvsadm's default is wlc.
pub(super) fn scheduler(section: &Section<'_>) -> Result<Scheduler, ConfigError> {
    let known: Vec<_> = Scheduler::ALL.iter().map(|scheduler| (scheduler.name(), *scheduler)).collect();
    let named = section.get("scheduler").map(|item| item.word(&known, &[])).transpose()?.unwrap_or(Scheduler::Wlc);
    let flags = match section.get("scheduler_flags") {
        Some(item) => flags(&item, named)?,
        None => HashFlags::default(),
    };
    let size = section.get("mh_table_size");
    match (named, size) {
        (Scheduler::Mh { size: default, .. }, size) => {
            let size = size.map(|item| table_size(&item)).transpose()?.unwrap_or(default);
            Ok(Scheduler::Mh { flags, size })
        }
        (_, Some(item)) => Err(item.error(format!("only mh has such a table; the service's scheduler is {named}"))),
        (Scheduler::Sh(_), None) => Ok(Scheduler::Sh(flags)),
        (_, None) => Ok(named),
    }
}

/// The flags that `ipvsadm -b` takes, and whose they are.
pub(super) const FLAGS: [(&str, &str, HashFlags); 4] = [
    ("sh-fallback", "sh", HashFlags { fallback: true, port: false }),
    ("sh-port", "sh", HashFlags { fallback: false, port: true }),
    ("mh-fallback", "mh", HashFlags { fallback: true, port: false }),
    ("mh-port", "mh", HashFlags { fallback: false, port: true }),
];

fn flags(item: &Item<'_>, scheduler: Scheduler) -> Result<HashFlags, ConfigError> {
    let words = FLAGS.map(|(word, owner, flag)| (word, (owner, flag)));
    let mut flags = HashFlags::default();
    for item in item.list()? {
        let (owner, flag) = item.word(&words, &[])?;
        if owner != scheduler.name() {
            return Err(item.error(format!("this is a flag of {owner}; the service's scheduler is {scheduler}")));
        }
        flags = HashFlags { fallback: flags.fallback || flag.fallback, port: flags.port || flag.port };
    }
    Ok(flags)
}

fn table_size(item: &Item<'_>) -> Result<u32, ConfigError> {
    let size = item.integer(0..=u64::from(u32::MAX))? as u32;
    if MH_SIZES.contains(&size) {
        return Ok(size);
    }
    let sizes = MH_SIZES.map(|size| size.to_string()).join(", ");
    Err(item.error(format!("{size} is none of the sizes there are: {sizes}")))
}
