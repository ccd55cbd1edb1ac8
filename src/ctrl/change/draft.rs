//! A configuration while changes are made to it.

use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;

use super::{Change, Kind, Refused};
use crate::ctrl::config::document::Table;
use crate::ctrl::config::{self, Config, ConfigError, Real, Selector, Service, parts};

/// What the changes so far have made of a configuration.
pub(super) struct Draft {
    /// All but the services.
    config: Config,
    /// The services in their order; those that were removed leave a gap.
    services: Vec<Option<Arc<Service>>>,
    /// Where each of them is.
    places: HashMap<Selector, usize>,
    /// Which change was the last to each service that was changed.
    authors: HashMap<Selector, usize>,
}

impl Draft {
    /// Starts with what runs.
    pub fn new(running: &Config) -> Self {
        let mut config = running.clone();
        let services = mem::take(&mut config.services);
        let places = services.iter().enumerate().map(|(place, service)| (service.selector, place)).collect();
        Self { config, services: services.into_iter().map(Some).collect(), places, authors: HashMap::new() }
    }

    /// Makes one change, the one at `number` of its transaction; what is refused leaves everything as it was.
    pub fn make(&mut self, number: usize, change: &Change) -> Result<(), Refused> {
        let touched = match change {
            Change::AddService { service } => self.add_service(service)?,
            Change::SetService { service, set } => {
                let (service, ports) = self.service(service)?;
                *service = Arc::new(parts::edit_service(service, set, "set", ports)?);
                service.selector
            }
            Change::RemoveService { service } => self.remove_service(service)?,
            Change::AddReal { service, real } => self.add_real(service, real)?,
            Change::SetReal { service, real, set } => self.set_real(service, real, set)?,
            Change::RemoveReal { service, real } => self.remove_real(service, real)?,
            Change::SetTimeouts { set } => {
                self.config.timeouts = parts::edit_timeouts(&self.config.timeouts, set, "set")?;
                return Ok(());
            }
            Change::Clear => {
                self.services.clear();
                self.places.clear();
                return Ok(());
            }
        };
        self.authors.insert(touched, number);
        Ok(())
    }

    fn add_service(&mut self, table: &Table) -> Result<Selector, Refused> {
        let service = parts::service(table, "service", &self.config.ports)?;
        let selector = service.selector;
        if self.places.contains_key(&selector) {
            return Err(Refused::new(Kind::ServiceExists, format!("{} is already there", name(&selector))));
        }
        service.stations().try_for_each(|(_, real)| self.leads_to(&selector, real))?;
        self.places.insert(selector, self.services.len());
        self.services.push(Some(Arc::new(service)));
        Ok(selector)
    }

    fn remove_service(&mut self, key: &Table) -> Result<Selector, Refused> {
        let selector = parts::key(key, "service", &self.config.ports)?;
        let place = self.places.remove(&selector).ok_or_else(|| no_such_service(&selector))?;
        self.services[place] = None;
        Ok(selector)
    }

    /// The service that `key` names, and the ports that it may name.
    fn service(&mut self, key: &Table) -> Result<(&mut Arc<Service>, &[config::Port]), Refused> {
        let selector = parts::key(key, "service", &self.config.ports)?;
        let service = self.places.get(&selector).and_then(|place| self.services[*place].as_mut());
        Ok((service.ok_or_else(|| no_such_service(&selector))?, &self.config.ports))
    }

    fn add_real(&mut self, key: &Table, table: &Table) -> Result<Selector, Refused> {
        let (service, ports) = self.service(key)?;
        let real = parts::real(table, "real", service, ports)?;
        if service.reals.iter().any(|other| other.address == real.address) {
            let error = format!("{}: the real server {} is already there", name(&service.selector), real.address);
            return Err(Refused::new(Kind::RealExists, error));
        }
        let selector = service.selector;
        self.leads_to(&selector, &real)?;
        let (service, _) = self.service(key)?;
        Arc::make_mut(service).reals.push(real);
        Ok(selector)
    }

    /// Refuses a real server that packets do not get to, which the check of the whole would lay at the door of whoever
    /// changes its service last.
    fn leads_to(&self, selector: &Selector, real: &Real) -> Result<(), Refused> {
        let wrong = |message| Refused::new(Kind::Invalid, format!("{}: {message}", name(selector)));
        self.config.leads_to(real).map_err(wrong)
    }

    fn set_real(&mut self, key: &Table, address: &str, set: &Table) -> Result<Selector, Refused> {
        let (service, place, ports) = self.real(key, address)?;
        let real = parts::edit_real(&service.reals[place], service, set, "set", ports)?;
        Arc::make_mut(service).reals[place] = real;
        Ok(service.selector)
    }

    fn remove_real(&mut self, key: &Table, address: &str) -> Result<Selector, Refused> {
        let (service, place, _) = self.real(key, address)?;
        Arc::make_mut(service).reals.remove(place);
        Ok(service.selector)
    }

    /// A service, the place of one of its real servers, and the ports.
    fn real(&mut self, key: &Table, address: &str) -> Result<(&mut Arc<Service>, usize, &[config::Port]), Refused> {
        let (service, ports) = self.service(key)?;
        match parts::find_real(service, address, "real")? {
            Some(place) => Ok((service, place, ports)),
            None => {
                let error = format!("{}: there is no real server {address}", name(&service.selector));
                Err(Refused::new(Kind::NoSuchReal, error))
            }
        }
    }

    /// Returns what was made, if `check` says that it is right as a whole.
    pub fn finish(self, check: impl FnOnce(&Config) -> Result<(), ConfigError>) -> Result<Config, Refused> {
        let services = self.services.into_iter().flatten().collect();
        let config = Config { services, ..self.config };
        match check(&config) {
            Ok(()) => Ok(config),
            Err(error) => Err(explain(&error, &config, &self.authors)),
        }
    }
}

/// Says what is wrong with the whole: names the service that the error's place stands for, and blames who changed it last.
fn explain(error: &ConfigError, config: &Config, authors: &HashMap<Selector, usize>) -> Refused {
    let place = error.key.strip_prefix("service[").and_then(|rest| rest.split_once(']')?.0.parse::<usize>().ok());
    let Some(service) = place.and_then(|place| config.services.get(place)) else {
        return Refused::new(Kind::Invalid, &*error.message);
    };
    let refused = Refused::new(Kind::Invalid, format!("{}: {}", name(&service.selector), error.message));
    match authors.get(&service.selector) {
        Some(author) => refused.at(*author),
        None => refused,
    }
}

fn name(selector: &Selector) -> String {
    format!("service {} {selector}", selector.protocol())
}

fn no_such_service(selector: &Selector) -> Refused {
    Refused::new(Kind::NoSuchService, format!("there is no {}", name(selector)))
}
