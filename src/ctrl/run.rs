//! `millrace run`: the director, from its start to its end.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll as Task;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use log::{error, info, warn};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::announce::{self, Announcer};
use super::api::{self, BindError, Director, ListenError, Listener, Socket};
use super::config::{self, Config, ConfigError, Device, Machine};
use super::crew::Crew;
use super::director::{Checked, Running};
use super::health::book::Verdict;
use super::health::checker::Checker;
use super::health::host_route::HostRoute;
use super::link::{LinkError, LinkWatch};
use super::notify;
use super::ports::{Devices, Equipment, Ports};
use super::routing::mirror;
use super::signals::{Signal, Signals};
use super::start::{self, Start, StartError};
use super::twin::{self, TwinError, Twins};
use super::watch::{Contents, FileWatch};
use super::watchdog;
use crate::dataplane::port::dpdk::LaunchError;
use crate::dataplane::service::PortId;
use crate::dataplane::shared::Shared;

/// How long a director that stops tells what has happened before.
const TELLING: Duration = Duration::from_secs(3);

/// Why the director did not start, or did not end well; displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has a mistake, or does not fit this machine. No port was touched.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The control thread cannot wait for what it must.
    #[error("the control thread does not start: {0}")]
    Control(#[from] io::Error),
    /// The socket cannot be listened on.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The API cannot be offered on TCP. No port was touched.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A port does not start, there is no memory, or the configuration is too large.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A port's twin is not set up.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// The kernel does not tell about carriers.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A worker does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It ran, and did not end well.
    #[error("{0}")]
    End(String),
}

/// Runs the director that `file` describes until SIGTERM or SIGINT.
///
/// # Errors
/// Why it did not start, or did not end well.
pub fn run(file: &Path) -> Result<(), RunError> {
    // Looked at before it is loaded: what changes in between is noticed later.
    let seen = Contents::of(file);
    let loaded = config::load(file)?;
    let machine = Machine::here();
    machine.check(&loaded)?;
    for note in loaded.notes() {
        warn!("{note}");
    }
    let config = loaded.config;
    let control = control_core(&machine.cores, &config.director.workers);
    // Threads made from here on stay off the workers' cores; a worker goes to its own.
    core_affinity::set_for_current(CoreId { id: control });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(direct(config, (file, seen), control))
}

/// The core of the control thread: the first that no worker polls on, if there is one.
fn control_core(cores: &[usize], workers: &[usize]) -> usize {
    let free = cores.iter().find(|core| !workers.contains(core));
    free.or(cores.first()).copied().unwrap_or_default()
}

async fn direct(config: Config, (file, seen): (&Path, Option<Contents>), control: usize) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let socket = Socket::bind(&config.api.socket)?;
    let listener = config.api.listen.as_ref().map(Listener::bind).transpose()?;
    let mirror = config.mirror.as_ref().map(|wanted| mirror::Kernel::open(&config, wanted)).transpose()?;
    let announcer = config.announce.map(Announcer::open).transpose()?;
    let (checker, orders) = Checker::start()?;
    let (checked, mut checks) = Checked::first(&config, orders.clone());
    let mut host_route = HostRoute::open(&config)?;
    let workers = config.director.workers.len();
    let equipment = Equipment {
        devices: config.ports.iter().map(|port| port.device.clone()).collect(),
        twins: twin::devices(&config),
        main_core: control,
        worker_cores: config.director.workers.clone(),
        queues: workers as u16,
        dpdk_args: config.director.dpdk_args.clone(),
    };
    let mut twins = Twins::prepare(&config).await?;
    let Start { mut ports, shared, applier } =
        Start::new(&checked.effective, &equipment, workers, start::random_secret()?)?;
    twins.set_up(&config, ports.macs()).await?;
    let origin = Instant::now();
    let devices = ports.devices();
    let mut carriers = Carriers::start(&config, devices.clone()).await?;
    carriers.first(&shared);
    describe(&config, &ports, &shared);
    let follow = twins.follow(&config, Arc::clone(&shared));
    let queues = ports.take_queues();
    let crew = Crew::launch(ports.eal(), queues, &applier, &shared, &config.director, origin)?;
    let counters = Box::new(move |place| devices.counters(place));
    let running =
        Arc::new(Running::new(Arc::clone(&shared), applier, config, file.to_owned(), origin, counters, checked));
    running.stand_in(host_route.as_ref().map(HostRoute::there)).map_err(StartError::Apply)?;
    // The workers are there: from now on the host reaches real servers.
    if let Some(route) = host_route.as_mut().filter(|_| !running.through().is_empty()) {
        route.begin(&shared).await;
    }
    running.through().lead(&mut checks);
    orders.give(checks);
    drop(orders);
    let Checker { verdicts, thread: checking } = checker;
    let hearing = tokio::spawn(hear(Arc::clone(&running), verdicts));
    let observing = tokio::spawn(observe(Arc::clone(&running)));
    let (tell, told) = oneshot::channel::<()>();
    let server = tokio::spawn(api::serve(socket, listener, Arc::clone(&running), async { drop(told.await) }));
    notify::ready();
    let watchdog = tokio::spawn(watchdog::watch(Arc::clone(&shared)));
    let follow = tokio::spawn(follow);
    let links = tokio::spawn(Arc::clone(&running).follow_links());
    let mirroring = mirror.map(|kernel| tokio::spawn(mirror::follow(kernel, Arc::clone(&running))));
    info!("forwarding");
    let (withdraw, withdrawn) = oneshot::channel::<()>();
    let announcing = announcer.map(|announcer| {
        tokio::spawn(announce::follow(announcer, Arc::clone(&running), async { drop(withdrawn.await) }))
    });

    let (give_up, given_up) = oneshot::channel::<()>();
    let host_route = host_route.map(|route| {
        let (asked, shared) = (Arc::clone(&running), Arc::clone(&shared));
        let asked = move || !asked.through().is_empty();
        tokio::spawn(route.follow(shared, asked, async { drop(given_up.await) }))
    });

    let mut watch = FileWatch::new(file);
    watch.set(running.desired().config.director.watch, seen);
    let ended = attend(&running, &mut signals, &mut carriers, &mut watch, &crew).await;

    // First, so that routers turn to other directors while this one still forwards.
    drop(withdraw);
    if let Some(announcing) = announcing {
        let _ = announcing.await;
    }
    drop(give_up);
    if let Some(host_route) = host_route {
        let _ = host_route.await;
    }
    watchdog.abort();
    follow.abort();
    hearing.abort();
    observing.abort();
    links.abort();
    mirroring.iter().for_each(JoinHandle::abort);
    notify::stopping();
    drop(tell);
    let _ = server.await;
    running.notifier().finish(TELLING).await;
    let finished = crew.finish();
    drop((running, carriers));
    let checked = checking.join().map_err(|_| "the health checks panicked".to_owned());
    let accounted = shared.account().map_err(|lost| lost.to_string());
    let accounted = accounted.map(|received| info!("{received} frames received, every one accounted for"));
    let stopped = ports.stop();
    twins.close().await;
    ended.and(finished).and(checked).and(accounted).and(stopped).map_err(RunError::End)
}

/// Does what is due until the director is to stop; an error if it stops because a worker did.
async fn attend(
    running: &Arc<Running>,
    signals: &mut Signals,
    carriers: &mut Carriers,
    watch: &mut FileWatch,
    crew: &Crew,
) -> Result<(), String> {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => {
                    info!("stopping");
                    return Ok(());
                }
                Signal::Reload => reload(running).await,
            },
            () = watch.changed() => {
                info!("the configuration file has changed");
                reload(running).await;
            }
            (port, up) = carriers.changed() => running.carrier(port, up),
            _ = seconds.tick() => {
                running.tend();
                running.log_events();
                carriers.ask_devices(running);
                watch.set(running.desired().config.director.watch, None);
                if crew.lost_one() {
                    return Err("a worker ended on its own".to_owned());
                }
            }
        }
    }
}

/// How long what checks find is gathered, so that a rack that goes dark is one change, or few.
const GATHERING: Duration = Duration::from_millis(10);

/// Has the director take in what checks find.
async fn hear(running: Arc<Running>, mut verdicts: UnboundedReceiver<Verdict>) {
    let mut heard = Vec::new();
    while verdicts.recv_many(&mut heard, usize::MAX).await > 0 {
        sleep(GATHERING).await;
        while let Ok(verdict) = verdicts.try_recv() {
            heard.push(verdict);
        }
        let (director, gathered) = (Arc::clone(&running), std::mem::take(&mut heard));
        if let Err(failed) = tokio::task::spawn_blocking(move || director.hear(&gathered)).await {
            error!("what health checks found was not taken in: {failed}");
        }
    }
}

/// Has the director look at what becomes of clients' connections, once a second.
async fn observe(running: Arc<Running>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let director = Arc::clone(&running);
        if let Err(failed) = tokio::task::spawn_blocking(move || director.observe()).await {
            error!("what became of clients' connections was not looked at: {failed}");
        }
    }
}

async fn reload(running: &Arc<Running>) {
    notify::reloading();
    let director = Arc::clone(running);
    match tokio::task::spawn_blocking(move || director.reload(false)).await {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => error!("reload refused, nothing changed: {refusal}"),
        Err(failed) => error!("reload did not finish: {failed}"),
    }
    notify::ready();
}

/// Who knows about the carrier of each port.
struct Carriers {
    kernel: Option<LinkWatch>,
    devices: Devices,
    /// The ports whose own device tells.
    asked: Vec<PortId>,
}

impl Carriers {
    async fn start(config: &Config, devices: Devices) -> Result<Self, LinkError> {
        let ports = || config.ports.iter().enumerate().map(|(place, port)| (PortId(place as u8), &port.device));
        let interface = |device| Device::parse(device).ok()?.carrier().map(str::to_owned);
        let told: Vec<_> = ports().filter_map(|(id, device)| Some((id, interface(device)?))).collect();
        let asked = ports().filter(|(_, device)| interface(device).is_none()).map(|(id, _)| id).collect();
        let kernel = if told.is_empty() { None } else { Some(LinkWatch::start(told).await?) };
        Ok(Self { kernel, devices, asked })
    }

    /// Notes how it is at the start.
    fn first(&self, shared: &Shared) {
        for (port, up) in self.kernel.iter().flat_map(LinkWatch::carriers) {
            shared.set_carrier(port, up);
        }
        for port in &self.asked {
            shared.set_carrier(*port, self.devices.link_up(port.index()));
        }
    }

    /// Waits for the kernel's word on a port.
    async fn changed(&mut self) -> (PortId, bool) {
        if let Some(watch) = &mut self.kernel {
            match watch.changed().await {
                Ok(change) => return change,
                Err(cause) => error!("carriers are no longer watched: {cause}"),
            }
        }
        self.kernel = None;
        poll_fn(|_| Task::Pending).await
    }

    fn ask_devices(&self, running: &Running) {
        for port in &self.asked {
            running.carrier(*port, self.devices.link_up(port.index()));
        }
    }
}

fn describe(config: &Config, ports: &Ports, shared: &Shared) {
    info!("millrace {} (commit {}) on {}", crate::VERSION, crate::COMMIT, config.summary());
    for (place, (port, address)) in config.ports.iter().zip(ports.macs()).enumerate() {
        let state = if shared.carrier(PortId(place as u8)) { "up" } else { "down" };
        let (mac, driver) = (super::diff::mac(address), ports.devices().driver(place));
        info!("port {}: {}, {mac}, driver {driver}, link {state}", port.name, port.device);
    }
    let (connections, wide) = (config.director.max_connections, config.director.max_wide_connections);
    info!("connection table: {connections} connections, {}", shared.table.backing());
    info!("connections to services of every port: {wide}, {}", shared.wide.backing());
    info!("persistence templates: {}, {}", config.director.max_templates, shared.templates.backing());
    if ports.eal().captures() {
        info!("packets can be captured: dpdk-dumpcap --file-prefix={}", ports.eal().file_prefix());
    }
}
