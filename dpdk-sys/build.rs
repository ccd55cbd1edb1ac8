//! Finds libdpdk, generates the bindings and compiles the wrappers of its inline functions.
//!
//! Libraries and compiler flags are pkg-config's. It names no driver: those are plugins, which the EAL loads from
//! DPDK's plugin directory at run time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The oldest release this is written for.
const OLDEST: &str = "22.11";

const FUNCTIONS: &[&str] = &[
    "dpdk_.*",
    "rte_eal_(init|cleanup|remote_launch|wait_lcore|get_lcore_state|get_runtime_dir)",
    "rte_strerror",
    "rte_version",
    "rte_pktmbuf_(pool_create|alloc_bulk|free_bulk)",
    "rte_mempool_in_use_count",
    "rte_mbuf_dyn(field|flag)_lookup",
    "rte_eth_(rx|tx)_burst",
    "rte_eth_dev_(get_port_by_name|info_get|configure|adjust_nb_rx_tx_desc|start|stop|close|socket_id)",
    "rte_eth_dev_(default_mac_addr_set|set_mtu|get_mtu)",
    "rte_eth_(rx|tx)_queue_setup",
    "rte_eth_(promiscuous|allmulticast)_enable",
    "rte_eth_macaddr_get",
    "rte_eth_stats_get",
    "rte_pdump_(init|uninit)",
    // perf compares the connection table with it.
    "rte_hash_(create|free|add_key_data|del_key|lookup_bulk_data|iterate)",
];

const TYPES: &[&str] = &["rte_eth_(conf|dev_info|rxconf|txconf|stats)", "rte_ether_addr", "rte_mbuf", "rte_mempool"];

const VARIABLES: &[&str] = &["DPDK_.*", "RTE_HASH_LOOKUP_BULK_MAX"];

fn main() {
    for file in ["build.rs", "shim.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let dpdk = pkg_config::Config::new().atleast_version(OLDEST).probe("libdpdk").unwrap_or_else(|error| {
        fail(&format!(
            "libdpdk {OLDEST} or later was not found by pkg-config.\n\
             On Debian and Ubuntu: apt install libdpdk-dev pkg-config\n\n{error}"
        ))
    });
    println!("cargo:rustc-env=DPDK_VERSION={}", dpdk.version);
    println!("cargo:version={}", dpdk.version);

    let flags = compiler_flags();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    generate(&flags, &out);
    compile(&flags, &out);
}

/// Asks pkg-config for the flags that its crate leaves out: DPDK needs its `-include` and its `-march`.
fn compiler_flags() -> Vec<String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program).args(["--cflags", "libdpdk"]).output();
    let text = match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap_or_default(),
        Ok(output) => fail(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => fail(&format!("{program} does not run: {error}")),
    };
    text.split_whitespace().map(str::to_owned).collect()
}

fn generate(flags: &[String], out: &Path) {
    let mut builder = bindgen::Builder::default()
        .header("shim.h")
        .clang_args(flags)
        .clang_arg("-DALLOW_EXPERIMENTAL_API")
        .wrap_static_fns(true)
        .wrap_static_fns_path(out.join("inline"))
        .derive_default(true)
        .generate_comments(false)
        .prepend_enum_name(false)
        // Its fields go by the offsets in shim.h: their names moved between releases.
        .opaque_type("rte_mbuf")
        .opaque_type("rte_mempool")
        .blocklist_type("rte_(mbuf|mempool)__bindgen_ty.*|rte_mbuf_sched");
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    for kind in TYPES {
        builder = builder.allowlist_type(kind);
    }
    for variable in VARIABLES {
        builder = builder.allowlist_var(variable);
    }
    let bindings = builder.generate().unwrap_or_else(|error| {
        fail(&format!(
            "bindgen cannot read DPDK's headers.\nIf it finds no libclang, on Debian and Ubuntu: apt install libclang-dev\n\n{error}"
        ))
    });
    bindings.write_to_file(out.join("bindings.rs")).unwrap_or_else(|error| fail(&error.to_string()));
}

/// Compiles the functions that bindgen wrote around inline ones: fast also in debug builds.
fn compile(flags: &[String], out: &Path) {
    let mut build = cc::Build::new();
    build.file(out.join("inline.c")).include(".").opt_level(3).warnings(false).define("ALLOW_EXPERIMENTAL_API", None);
    for flag in flags {
        build.flag(flag);
    }
    build.compile("dpdk_inline");
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1)
}
