//! Carrier by netlink, on veth pairs in a network namespace of this test's own.

mod namespace;

use std::time::Duration;

use millrace::ctrl::link::LinkWatch;
use millrace::dataplane::service::PortId;
use namespace::ip;
use tokio::time::timeout;

const FIRST: PortId = PortId(3);
const SECOND: PortId = PortId(5);

fn main() {
    namespace::run("carriers_come_and_go", carriers_come_and_go);
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
