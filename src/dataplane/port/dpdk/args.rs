//! From what the director needs to the EAL's command line.

use super::Hugepages;

/// The `--file-prefix` of a director: dpdk-dumpcap finds it by this.
pub const FILE_PREFIX: &str = "millrace";

/// What the EAL is asked for.
#[derive(Clone, Debug, Default)]
pub struct EalArgs {
    /// The ports' devices, each a PCI address or a vdev with its arguments.
    pub devices: Vec<String>,
    /// The CPU core of the control thread.
    pub main_core: usize,
    /// The CPU cores of the workers, one worker each; may contain the main core.
    pub worker_cores: Vec<usize>,
    /// What the mbuf pools need, in MiB.
    pub memory_mib: u64,
    /// The operator's `dpdk_args`, passed as they are.
    pub extra: Vec<String>,
}

/// A command line for the EAL, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The arguments, the program's name first.
    pub argv: Vec<String>,
    /// Whether other processes, such as dpdk-dumpcap, can attach.
    pub shared: bool,
    /// Why it is not what was asked for.
    pub warning: Option<String>,
}

/// An option in `dpdk_args` that would undo what the configuration says elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: the cores are set by `workers`")]
pub struct ReservedOption(pub String);

impl EalArgs {
    /// Returns the prefix that this EAL's files will carry.
    pub fn file_prefix(&self) -> &str {
        self.extra_value("--file-prefix").unwrap_or(FILE_PREFIX)
    }

    /// Composes the command line, for a machine with these hugepages.
    ///
    /// Lcore 0 is the control thread's and lcore n + 1 is worker n's, whatever the cores: two lcores may share one.
    ///
    /// Where the hugepages do not suffice and the operator said nothing about memory, ordinary memory is used.
    /// `--in-memory` gives way then, since the EAL refuses it together with `--no-huge`; nothing is shared and
    /// nothing is left behind either way.
    ///
    /// # Errors
    /// If the operator chose cores in `dpdk_args`.
    pub fn compose(&self, hugepages: Hugepages) -> Result<CommandLine, ReservedOption> {
        const CORES: [&str; 5] = ["-l", "-c", "--lcores", "--main-lcore", "--coremask"];
        if let Some(option) = CORES.into_iter().find(|option| self.has(&[option])) {
            return Err(ReservedOption(option.to_owned()));
        }
        let mut argv = vec!["millrace".to_owned(), format!("--lcores={}", self.lcores()), "--main-lcore=0".to_owned()];
        argv.extend(self.device_options());
        let mut extra = self.extra.clone();
        let mut warning = None;
        if self.falls_back(hugepages) {
            extra.retain(|option| option != "--in-memory");
            extra.push("--no-huge".to_owned());
            warning = Some(self.shortage(hugepages));
        }
        let asked = Options(&extra);
        let mut shared = !asked.has(&["--in-memory", "--no-shconf"]);
        if asked.has(&["--no-huge"]) {
            if !asked.has(&["-m"]) {
                argv.extend(["-m".to_owned(), self.memory_mib.max(DEFAULT_MEMORY_MIB).to_string()]);
            }
            if shared {
                argv.push("--no-shconf".to_owned());
            }
            shared = false;
        } else if shared && !asked.has(&["--file-prefix"]) {
            argv.push(format!("--file-prefix={FILE_PREFIX}"));
        }
        argv.extend(extra);
        Ok(CommandLine { argv, shared, warning })
    }

    fn lcores(&self) -> String {
        let cores = std::iter::once(&self.main_core).chain(&self.worker_cores);
        let pairs: Vec<String> = cores.enumerate().map(|(lcore, core)| format!("{lcore}@{core}")).collect();
        pairs.join(",")
    }

    fn device_options(&self) -> Vec<String> {
        let (pci, virtual_devices): (Vec<_>, Vec<_>) = self.devices.iter().partition(|device| is_pci(device));
        let mut options: Vec<String> = pci.iter().map(|device| format!("--allow={device}")).collect();
        if pci.is_empty() && !self.has(&["--no-pci", "-a", "--allow", "-b", "--block"]) {
            options.push("--no-pci".to_owned());
            // With no card to tell, the EAL may choose physical addresses, which tear pools apart page by page.
            if !self.has(&["--iova-mode"]) {
                options.push("--iova-mode=va".to_owned());
            }
        }
        options.extend(virtual_devices.iter().map(|device| format!("--vdev={device}")));
        options
    }

    fn falls_back(&self, hugepages: Hugepages) -> bool {
        const MEMORY: [&str; 7] =
            ["-m", "--no-huge", "--huge-dir", "--socket-mem", "--numa-mem", "--legacy-mem", "--single-file-segments"];
        let suffices =
            hugepages.free_mib >= self.memory_mib.max(1) && (hugepages.mounted || self.has(&["--in-memory"]));
        !suffices && !self.has(&MEMORY)
    }

    fn shortage(&self, hugepages: Hugepages) -> String {
        let reason = if hugepages.free_mib < self.memory_mib.max(1) {
            format!("{} MiB of hugepages are free and {} are needed", hugepages.free_mib, self.memory_mib)
        } else {
            "no hugetlbfs is mounted".to_owned()
        };
        format!("{reason}: using ordinary memory, which is slower and cannot be captured from (scripts/setup)")
    }

    fn has(&self, options: &[&str]) -> bool {
        Options(&self.extra).has(options)
    }

    fn extra_value(&self, option: &str) -> Option<&str> {
        let at = self.extra.iter().position(|argument| names(argument, option))?;
        match self.extra[at].split_once('=') {
            Some((_, value)) => Some(value),
            None => self.extra.get(at + 1).map(String::as_str),
        }
    }
}

/// What the EAL takes of ordinary memory unless more is needed, in MiB: pages are only backed as they are used.
const DEFAULT_MEMORY_MIB: u64 = 512;

struct Options<'a>(&'a [String]);

impl Options<'_> {
    fn has(&self, options: &[&str]) -> bool {
        self.0.iter().any(|argument| options.iter().any(|option| names(argument, option)))
    }
}

/// Tells whether `argument` is `option`, alone or with its value: `--a`, `--a=b`, `-m`, `-m512`.
fn names(argument: &str, option: &str) -> bool {
    match argument.strip_prefix(option) {
        Some(rest) if option.starts_with("--") => rest.is_empty() || rest.starts_with('='),
        Some(_) => true,
        None => false,
    }
}

/// Tells whether a device string is a PCI address rather than a vdev.
fn is_pci(device: &str) -> bool {
    device.split(',').next().is_some_and(|name| name.contains(':'))
}

/// Returns the name by which the EAL knows a device: without arguments, a PCI address with its domain.
pub(super) fn port_name(device: &str) -> String {
    let name = device.split(',').next().unwrap_or_default();
    if name.matches(':').count() == 1 { format!("0000:{name}") } else { name.to_owned() }
}

/// Adds to a device string what its driver needs to be told to offer `queues` queue pairs.
///
/// Only af_packet needs telling (`qpairs`), and only if the operator did not.
pub fn with_queues(device: &str, queues: u16) -> String {
    let told = device.split(',').skip(1).any(|argument| names_key(argument, "qpairs"));
    if queues > 1 && !told && is_ring(device) { format!("{device},qpairs={queues}") } else { device.to_owned() }
}

/// Adds to a device string what its driver needs to be told to carry packets of `mtu` octets.
///
/// Only af_packet needs telling, if they are longer than the 2,048 octets of its rings' frames leave room for, and only if the
/// operator did not.
pub fn with_frames(device: &str, mtu: u16) -> String {
    let told = device.split(',').skip(1).any(|argument| names_key(argument, "framesz"));
    let octets = ring_frame(mtu);
    if octets == RING_FRAME || told || !is_ring(device) {
        return device.to_owned();
    }
    // The driver looks for frames one behind the other: blocks, which are made of pages, have no rest.
    let block = (1..).map(|frames| frames * octets).find(|block| block % PAGE == 0).unwrap_or(octets);
    format!("{device},framesz={octets},blocksz={block}")
}

/// Returns the room that af_packet wants in mbufs for packets of `mtu` octets, whatever else they need.
pub fn ring_room(device: &str, mtu: u16) -> u16 {
    // struct tpacket2_hdr, <linux/if_packet.h>: the driver asks for all that is left.
    const HEADER: u32 = 32;
    if is_ring(device) { u16::try_from(ring_frame(mtu) - HEADER).unwrap_or(u16::MAX) } else { 0 }
}

/// What a frame of a ring is long if nothing else is said, in octets.
const RING_FRAME: u32 = 2048;
const PAGE: u32 = 4096;

/// Returns how long a frame of a ring must be for packets of `mtu` octets, in octets.
fn ring_frame(mtu: u16) -> u32 {
    // Where a packet begins in it (packet_mmap.txt); the link's header with two VLAN tags is the packet's.
    const BEFORE: u32 = 66;
    let octets = BEFORE + 14 + 2 * 4 + u32::from(mtu);
    octets.next_multiple_of(PAGE / 4).max(RING_FRAME)
}

fn is_ring(device: &str) -> bool {
    device.starts_with("net_af_packet")
}

fn names_key(argument: &str, key: &str) -> bool {
    argument.split('=').next() == Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Hugepages = Hugepages { free_mib: 1024, mounted: true };
    const NONE: Hugepages = Hugepages { free_mib: 0, mounted: true };

    fn args(devices: &[&str], extra: &[&str]) -> EalArgs {
        EalArgs {
            devices: devices.iter().map(|&s| s.to_owned()).collect(),
            main_core: 0,
            worker_cores: vec![1],
            memory_mib: 100,
            extra: extra.iter().map(|&s| s.to_owned()).collect(),
        }
    }

    fn line(args: &EalArgs, hugepages: Hugepages) -> String {
        args.compose(hugepages).unwrap().argv[1..].join(" ")
    }

    #[test]
    fn a_card_in_production_can_be_captured_from() {
        let args = args(&["0000:03:00.0", "04:00.1,rxq=2"], &[]);
        assert_eq!(
            line(&args, PLENTY),
            "--lcores=0@0,1@1 --main-lcore=0 --allow=0000:03:00.0 --allow=04:00.1,rxq=2 --file-prefix=millrace"
        );
        let line = args.compose(PLENTY).unwrap();
        assert!(line.shared);
        assert_eq!(line.warning, None);
    }

    #[test]
    fn virtual_devices_leave_pci_alone() {
        assert_eq!(
            line(&args(&["net_af_packet0,iface=veth0"], &["--in-memory"]), PLENTY),
            "--lcores=0@0,1@1 --main-lcore=0 --no-pci --iova-mode=va --vdev=net_af_packet0,iface=veth0 --in-memory"
        );
    }

    #[test]
    fn workers_may_share_the_main_core() {
        let args = EalArgs { worker_cores: vec![0, 1], ..args(&[], &[]) };
        assert!(line(&args, PLENTY).starts_with("--lcores=0@0,1@0,2@1 --main-lcore=0 "));
    }

    #[test]
    fn without_hugepages_ordinary_memory_serves() {
        for extra in [&[][..], &["--in-memory"], &["--file-prefix=lab"]] {
            let line = args(&["net_null0"], extra).compose(NONE).unwrap();
            assert!(!line.shared);
            assert!(line.warning.unwrap().starts_with("0 MiB of hugepages are free and 100 are needed"));
            let line = line.argv.join(" ");
            assert!(line.contains(" -m 512 --no-shconf"), "{line}");
            assert!(line.ends_with(" --no-huge"), "{line}");
            assert!(!line.contains("--in-memory"), "{line}");
        }
    }

    #[test]
    fn an_unmounted_hugetlbfs_only_matters_to_files() {
        let unmounted = Hugepages { free_mib: 1024, mounted: false };
        assert!(args(&[], &[]).compose(unmounted).unwrap().warning.unwrap().starts_with("no hugetlbfs is mounted"));
        assert_eq!(args(&[], &["--in-memory"]).compose(unmounted).unwrap().warning, None);
    }

    #[test]
    fn the_operators_word_on_memory_is_final() {
        let line = args(&[], &["-m", "64"]).compose(NONE).unwrap();
        assert_eq!((line.warning, line.shared), (None, true));
        let line = args(&[], &["--no-huge", "-m700"]).compose(PLENTY).unwrap();
        assert_eq!(line.argv[5..], ["--no-shconf", "--no-huge", "-m700"]);
        let line = args(&[], &["--no-huge", "--no-shconf"]).compose(PLENTY).unwrap();
        assert_eq!(line.argv[5..], ["-m", "512", "--no-huge", "--no-shconf"]);
    }

    #[test]
    fn a_prefix_of_the_operators_replaces_ours() {
        for extra in [&["--file-prefix=edge"][..], &["--file-prefix", "edge"]] {
            let args = args(&[], extra);
            assert_eq!(args.file_prefix(), "edge");
            assert!(!line(&args, PLENTY).contains("millrace"));
        }
        assert_eq!(args(&[], &[]).file_prefix(), "millrace");
    }

    #[test]
    fn cores_are_not_the_operators_to_choose_here() {
        for option in ["-l", "-l0-3", "--lcores=0", "--main-lcore=1", "-c"] {
            let error = args(&[], &[option]).compose(PLENTY).unwrap_err();
            assert!(option.starts_with(&error.0), "{error}");
        }
    }

    #[test]
    fn names_are_what_the_eal_calls_devices() {
        assert_eq!(port_name("03:00.0"), "0000:03:00.0");
        assert_eq!(port_name("0000:03:00.0,a=b"), "0000:03:00.0");
        assert_eq!(port_name("net_pcap0,rx_pcap=/tmp/a:b.pcap"), "net_pcap0");
        assert!(!is_pci("net_pcap0,rx_pcap=/tmp/a:b.pcap"));
    }

    #[test]
    fn queue_pairs_are_asked_for_where_the_driver_must_be_told() {
        assert_eq!(with_queues("net_af_packet0,iface=a", 2), "net_af_packet0,iface=a,qpairs=2");
        assert_eq!(with_queues("net_af_packet0,iface=a,qpairs=4", 2), "net_af_packet0,iface=a,qpairs=4");
        assert_eq!(with_queues("net_af_packet0,iface=a", 1), "net_af_packet0,iface=a");
        assert_eq!(with_queues("net_ring0", 2), "net_ring0");
    }

    #[test]
    fn rings_are_made_for_the_mtu() {
        let ring = "net_af_packet0,iface=v";
        for mtu in [68, 1500, 1960] {
            assert_eq!((with_frames(ring, mtu).as_str(), ring_room(ring, mtu)), (ring, 2016));
        }
        assert_eq!(with_frames(ring, 1961), "net_af_packet0,iface=v,framesz=3072,blocksz=12288");
        assert_eq!(with_frames(ring, 4000), "net_af_packet0,iface=v,framesz=4096,blocksz=4096");
        assert_eq!(with_frames(ring, 9000), "net_af_packet0,iface=v,framesz=9216,blocksz=36864");
        assert_eq!((ring_room(ring, 9000), ring_room("net_ring0", 9000)), (9184, 0));
        for told in ["net_af_packet0,iface=v,framesz=16384", "net_ring0", "0000:03:00.0"] {
            assert_eq!(with_frames(told, 9000), told);
        }
    }
}
