//! Notices that the configuration file has changed, where `[director] watch` asks for it.
//!
//! The kernel tells what happens in folders (inotify(7)): the one that the file is in, and where there are links on the way to it,
//! those that they are in. So a file is noticed that was written, one that was put in its place, as editors do it, and
//! a link that leads elsewhere from now on. It is looked at once nothing has happened to it for [`QUIET`], and if what
//! it holds is not what it held when it was last looked at, it has changed. One that is gone has not: it may be back soon.
//!
//! Files are read aside: whoever waits for a change on the control thread holds up nobody.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use futures_util::StreamExt;
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use log::warn;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

/// For how long nothing happens to a file before it is looked at: what is written in several steps is one change.
const QUIET: Duration = Duration::from_millis(500);

/// A file to which something happens all the time is looked at after this time all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a file is looked at where the kernel does not tell.
const PERIOD: Duration = Duration::from_secs(5);

/// How many links there may be on the way to a file: as many as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;

/// What a file holds, as far as it takes to notice that it holds something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents(u64);

impl Contents {
    /// Looks at a file; none if it cannot be read.
    pub fn of(file: &Path) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&fs::read(file).ok()?);
        Some(Self(hasher.finish()))
    }

    async fn read(file: &Path) -> Option<Self> {
        let file = file.to_owned();
        spawn_blocking(move || Self::of(&file)).await.ok()?
    }
}

/// Watches a file, or does not.
#[derive(Debug)]
pub struct FileWatch {
    file: PathBuf,
    watcher: Option<JoinHandle<()>>,
    tell: mpsc::Sender<()>,
    told: mpsc::Receiver<()>,
}

impl FileWatch {
    /// Does not watch `file` yet.
    pub fn new(file: &Path) -> Self {
        let (tell, told) = mpsc::channel(1);
        Self { file: file.to_owned(), watcher: None, tell, told }
    }

    /// Watches from now on, inside a tokio runtime, or no longer. With `seen`, a file that already holds something else has changed.
    pub fn set(&mut self, on: bool, seen: Option<Contents>) {
        if on == self.watcher.is_some() {
            return;
        }
        self.stop();
        while self.told.try_recv().is_ok() {}
        self.watcher = on.then(|| tokio::spawn(watch(self.file.clone(), seen, self.tell.clone())));
    }

    /// Waits until the file has changed. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        // There is always a sender, here: this does not end by itself.
        self.told.recv().await;
    }

    fn stop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells each time that the file has changed.
async fn watch(file: PathBuf, mut seen: Option<Contents>, tell: mpsc::Sender<()>) {
    let mut warned = false;
    loop {
        // Places are watched before the file is looked at: what happens from here on is not missed.
        let places = Places::watch(&file).await;
        let held = Contents::read(&file).await;
        if held.is_some() {
            if seen.is_some() && held != seen {
                // Somebody may be writing it right now: what it holds must stay.
                sleep(QUIET).await;
                if Contents::read(&file).await != held {
                    continue;
                }
                // If one change waits to be heard of already, that is enough.
                let _ = tell.try_send(());
            }
            seen = held;
        }
        match places {
            Ok(mut places) => places.stirred().await,
            Err(cause) => {
                if !std::mem::replace(&mut warned, true) {
                    warn!("{}: cannot be watched ({cause}) and is looked at every 5 s", file.display());
                }
                sleep(PERIOD).await;
            }
        }
    }
}

/// The folders in which something can happen to a file.
struct Places {
    events: EventStream<[u8; 4096]>,
    watched: Vec<(WatchDescriptor, Place)>,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    name: OsString,
}

impl Places {
    async fn watch(file: &Path) -> io::Result<Self> {
        let file = file.to_owned();
        spawn_blocking(move || Self::new(&file)).await?
    }

    fn new(file: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CLOSE_WRITE | WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVE_SELF;
        let watch = |place: Place| Ok((inotify.watches().add(&place.folder, mask | WatchMask::ONLYDIR)?, place));
        let watched = on_the_way(file)?.into_iter().map(watch).collect::<io::Result<_>>()?;
        Ok(Self { events: inotify.into_event_stream([0; 4096])?, watched })
    }

    /// Waits until something has happened to the file, and then no more for a while.
    async fn stirred(&mut self) {
        self.stir().await;
        let _ = timeout(PATIENCE, async { while timeout(QUIET, self.stir()).await.is_ok() {} }).await;
    }

    /// Waits until something happens to the file.
    async fn stir(&mut self) {
        loop {
            match self.events.next().await {
                Some(Ok(event)) if self.concerns(&event) => return,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return sleep(PERIOD).await,
            }
        }
    }

    fn concerns(&self, event: &Event<OsString>) -> bool {
        // A folder is gone or elsewhere now, or the kernel had more to tell than it could keep.
        if event.mask.intersects(EventMask::IGNORED | EventMask::MOVE_SELF | EventMask::Q_OVERFLOW) {
            return true;
        }
        self.watched.iter().any(|(watch, place)| {
            *watch == event.wd
                && event.name.as_ref() == Some(&place.name)
                // A new file is empty; it is of interest once it was written.
                && (!event.mask.contains(EventMask::CREATE) || place.folder.join(&place.name).is_symlink())
        })
    }
}

/// The file's own place and those of the links that lead to it.
fn on_the_way(file: &Path) -> io::Result<Vec<Place>> {
    let file = std::path::absolute(file)?;
    // Names that are still to be gone to, the next one last.
    let mut ahead: Vec<OsString> = steps(&file).collect();
    let (mut folder, mut places) = (PathBuf::from("/"), Vec::new());
    while let Some(name) = ahead.pop() {
        let path = folder.join(&name);
        match fs::read_link(&path) {
            _ if name == ".." => drop(folder.pop()),
            Ok(target) if places.len() < LINKS => {
                places.push(Place { folder: folder.clone(), name });
                ahead.extend(steps(&target));
                if target.is_absolute() {
                    folder = PathBuf::from("/");
                }
            }
            _ if ahead.is_empty() => places.push(Place { folder: folder.clone(), name }),
            _ => folder = path,
        }
    }
    Ok(places)
}

/// The names in a path, the last one first.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let steps = path.components().rev();
    steps
        .filter(|step| matches!(step, Component::Normal(_) | Component::ParentDir))
        .map(|step| step.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::slice;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("millrace-watch-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::canonicalize(path).unwrap()
    }

    fn place(folder: &Path, name: &str) -> Place {
        Place { folder: folder.to_owned(), name: name.into() }
    }

    #[test]
    fn links_on_the_way_are_places_too() {
        let home = folder("links");
        fs::create_dir_all(home.join("there/deep")).unwrap();
        fs::write(home.join("there/deep/x.toml"), "").unwrap();
        let plain = home.join("there/deep/x.toml");
        let own = place(&home.join("there/deep"), "x.toml");
        assert_eq!(on_the_way(&plain).unwrap(), slice::from_ref(&own));
        assert_eq!(on_the_way(&home.join("there/../there/deep/./x.toml")).unwrap(), slice::from_ref(&own));

        // As Kubernetes lays a ConfigMap out: x.toml -> ..data/x.toml, ..data -> there/deep.
        symlink("there/deep", home.join("..data")).unwrap();
        symlink("..data/x.toml", home.join("x.toml")).unwrap();
        let links = [place(&home, "x.toml"), place(&home, "..data"), own.clone()];
        assert_eq!(on_the_way(&home.join("x.toml")).unwrap(), links);

        symlink(&plain, home.join("there/absolute")).unwrap();
        assert_eq!(on_the_way(&home.join("there/absolute")).unwrap(), [place(&home.join("there"), "absolute"), own]);
        symlink("round", home.join("round")).unwrap();
        assert_eq!(on_the_way(&home.join("round")).unwrap().len(), LINKS + 1, "it ends");
        assert_eq!(on_the_way(&home.join("none/x.toml")).unwrap(), [place(&home.join("none"), "x.toml")]);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn what_a_file_holds_is_told_apart() {
        let home = folder("contents");
        let file = home.join("x.toml");
        assert_eq!(Contents::of(&file), None);
        fs::write(&file, "a").unwrap();
        let first = Contents::of(&file);
        fs::write(&file, "b").unwrap();
        assert!(first.is_some() && Contents::of(&file) != first);
        fs::write(&file, "a").unwrap();
        assert_eq!(Contents::of(&file), first);
        fs::remove_dir_all(home).unwrap();
    }
}
