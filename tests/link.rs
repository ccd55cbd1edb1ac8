//! Carrier by netlink, on veth pairs in a network namespace of this test's own.
//!
//! ```text
//!   test: unshare --net (with a user namespace where it is not root) ──► test --inside
//! ```

use std::process::{Command, exit};
use std::time::Duration;

use millrace::ctrl::link::LinkWatch;
use millrace::dataplane::service::PortId;
use tokio::time::timeout;

const INSIDE: &str = "--inside";
const FIRST: PortId = PortId(3);
const SECOND: PortId = PortId(5);

const NAME: &str = "carriers_come_and_go";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return;
    }
    // As the usual harness has it: words are filters.
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if filters.peek().is_some() && !filters.any(|filter| NAME.contains(filter.as_str())) {
        return;
    }
    if arguments.iter().any(|argument| argument == INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(carriers_come_and_go());
        println!("test {NAME} ... ok");
        return;
    }
    let this = std::env::current_exe().expect("this program has a path");
    // Root in a user namespace of its own: also where the caller is nobody.
    let status = Command::new("unshare").args(["--map-root-user", "--net"]).arg(this).arg(INSIDE).status();
    match status {
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(cause) => panic!("unshare does not run: {cause}"),
    }
}

fn ip(command: &str) {
    let status = Command::new("ip").args(command.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {command}");
}

async fn next(watch: &mut LinkWatch) -> (PortId, bool) {
    timeout(Duration::from_secs(10), watch.changed()).await.expect("the kernel tells in time").expect("it tells")
}

async fn nothing_comes(watch: &mut LinkWatch) {
    assert!(timeout(Duration::from_millis(100), watch.changed()).await.is_err());
}

async fn carriers_come_and_go() {
    ip("link add first type veth peer name first-far");
    ip("link set first up");
    ip("link set first-far up");
    let ports = [(FIRST, "first".to_owned()), (SECOND, "second".to_owned())];
    let mut watch = LinkWatch::start(ports).await.expect("netlink answers");
    assert_eq!(watch.carriers().collect::<Vec<_>>(), [(FIRST, true), (SECOND, false)]);
    nothing_comes(&mut watch).await;

    ip("link set first-far down");
    assert_eq!(next(&mut watch).await, (FIRST, false));
    ip("link set first-far up");
    assert_eq!(next(&mut watch).await, (FIRST, true));

    ip("link add second type veth peer name second-far");
    ip("link set second up");
    nothing_comes(&mut watch).await;
    ip("link set second-far up");
    assert_eq!(next(&mut watch).await, (SECOND, true));

    ip("link del first");
    assert_eq!(next(&mut watch).await, (FIRST, false));
    ip("link set second down");
    assert_eq!(next(&mut watch).await, (SECOND, false));
    ip("link set second name first");
    ip("link set first up");
    assert_eq!(next(&mut watch).await, (FIRST, true));
    assert_eq!(watch.carriers().collect::<Vec<_>>(), [(FIRST, true), (SECOND, false)]);
}
