//! Tells the program which commit and which DPDK it was built from; linking is `dpdk-sys`'s business.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // HEAD changes with the branch, its log with each commit. A path that is not there would rebuild every time.
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|out| out.status.success())
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=MILLRACE_COMMIT={commit}");
    // What dpdk-sys says as `cargo:version=`; not there when it is not built in.
    let dpdk = std::env::var("DEP_DPDK_VERSION").unwrap_or_default();
    println!("cargo:rustc-env=MILLRACE_DPDK={dpdk}");
}
