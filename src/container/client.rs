//! How a caller comes to containers: makes them, joins them, lists them, ends them by name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, UNIX_EPOCH};

use super::join::NamespaceSet;
use super::shared::Shared;
use super::state::{ContainerInfo, StateDir};
use super::{Container, create, end, export, join, peer, scratch};
use crate::image::{Applied, Conflicts, Difference, Progress, Source, Store};
use crate::{Config, Result, cgroup};

type Hears<'r> = Box<dyn FnMut(Progress) -> bool + Send + 'r>;

/// Where a caller's containers and images are, and who hears how long work goes on. [`Container::create`], [`Container::join`],
/// [`Container::list`], [`Container::destroy_named`] and [`explain()`] are short for those of `Client::new()`: the usual places,
/// and no report.
///
/// ```no_run
/// let client = ctr::Client::new().with_state_dir("/run/mine").with_report(|progress| {
///     eprint!("\r{} of {}", progress.bytes, progress.total);
///     true
/// });
/// let c = client.create("debian.tar.gz", &ctr::Config::default())?;
/// assert_eq!(client.join(c.name())?.pid(), c.pid());
/// # Ok::<(), ctr::Error>(())
/// ```
#[derive(Default)]
pub struct Client<'r> {
    state_dir: Option<PathBuf>,
    store_dir: Option<PathBuf>,
    report: Option<Mutex<Hears<'r>>>,
}

impl Client<'_> {
    /// One with the usual places.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this directory for what runs, where a [`Config::state_dir`] does not say another. It is made where it is
    /// missing, and has to belong to this user, closed to others (0700).
    #[must_use]
    pub fn with_state_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(dir.into()), ..self }
    }

    /// The same with this directory for images, where a [`Config::store_dir`] does not say another.
    #[must_use]
    pub fn with_store_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { store_dir: Some(dir.into()), ..self }
    }

    /// The same with `report`, which hears some ten times a second how far an import is, or whatever else takes long, on the
    /// thread that waits for it. When it answers false, the work ends with [`crate::ErrorCode::Interrupted`] and leaves nothing.
    /// Of two threads that work at the same time it hears one at a time.
    #[must_use]
    pub fn with_report<'n>(self, report: impl FnMut(Progress) -> bool + Send + 'n) -> Client<'n> {
        let Self { state_dir, store_dir, .. } = self;
        Client { state_dir, store_dir, report: Some(Mutex::new(Box::new(report))) }
    }

    /// Makes a container from `image`: what [`Store::resolve`] takes.
    pub fn create(&self, image: impl AsRef<OsStr>, config: &Config) -> Result<Container> {
        let shared = create::create(image.as_ref(), &self.placed(config), &mut |progress| self.goes_on(progress))?;
        Ok(Container { ends: !shared.record.detached, shared: Arc::new(shared) })
    }

    /// The plan for `image` and `config`; see [`explain()`].
    pub fn explain(&self, image: impl AsRef<OsStr>, config: &Config) -> Result<String> {
        create::explain(image.as_ref(), &self.placed(config), &mut |progress| self.goes_on(progress))
    }

    /// A handle on a running container that any process of this user made.
    pub fn join(&self, name: &str) -> Result<Container> {
        Ok(Container { shared: Arc::new(Shared::join(self.state()?, name)?), ends: false })
    }

    /// The running containers of this user, oldest first; sweeps what dead owners left.
    pub fn list(&self) -> Result<Vec<ContainerInfo>> {
        let state = self.state()?;
        let mut running = Vec::new();
        for (container, pid) in state.list()? {
            let cgroups = container.cgroups();
            let paused = cgroup::is_paused(&cgroups);
            // One that an earlier version has made is asked who it is. A PID 1 that stands still takes no connections, of which only so
            // many can wait.
            let pid = pid.or_else(|| if paused { cgroup::first_process(&cgroups) } else { None });
            let pid = pid.map_or_else(|| peer::pid_of(&state, &container.name), |pid| Ok(Some(pid)))?;
            let Some(pid) = pid else { continue };
            running.push(ContainerInfo {
                pid,
                created: UNIX_EPOCH + Duration::from_secs(container.created),
                name: container.name,
                image: container.image,
                owner: container.owner,
                detached: container.detached,
                paused,
            });
        }
        Ok(running)
    }

    /// Ends the container of this name, as [`Container::destroy`] of a joined handle; also one that can't be joined, because its
    /// record is damaged or an earlier version's: then it is ended by the process that its control socket belongs to, and a damaged
    /// record is put aside.
    pub fn destroy_named(&self, name: &str) -> Result<()> {
        end::destroy_named(self.state()?, name)
    }

    /// The store of images.
    pub fn store(&self) -> Result<Store> {
        Store::open(self.store_dir.as_deref())
    }

    /// As [`Store::resolve`].
    pub fn resolve(&self, image: impl AsRef<OsStr>) -> Result<Source> {
        self.store()?.resolved(image.as_ref(), &mut |progress| self.goes_on(progress))
    }

    /// As [`Container::diff`].
    pub fn diff(&self, container: &Container) -> Result<Vec<Difference>> {
        export::running(&container.shared)?.diff(&mut |progress| self.goes_on(progress))
    }

    /// As [`Container::diff_scratch`].
    pub fn diff_scratch(&self, container: &Container, target: impl AsRef<Path>) -> Result<Vec<Difference>> {
        scratch::diff(&container.shared, target.as_ref(), &mut |progress| self.goes_on(progress))
    }

    /// As [`Container::apply_scratch`].
    pub fn apply_scratch(
        &self,
        container: &Container,
        target: impl AsRef<Path>,
        conflicts: Conflicts,
    ) -> Result<Applied> {
        scratch::apply(&container.shared, target.as_ref(), conflicts, &mut |progress| self.goes_on(progress))
    }

    pub(super) fn state(&self) -> Result<StateDir> {
        StateDir::open(self.state_dir.as_deref())
    }

    /// The configuration with our places where it says none.
    fn placed<'c>(&self, config: &'c Config) -> Cow<'c, Config> {
        let adds = |ours: &Option<PathBuf>, its: &Option<PathBuf>| ours.is_some() && its.is_none();
        if !adds(&self.state_dir, &config.state_dir) && !adds(&self.store_dir, &config.store_dir) {
            return Cow::Borrowed(config);
        }
        Cow::Owned(config.clone().with(|c| {
            c.state_dir = c.state_dir.take().or_else(|| self.state_dir.clone());
            c.store_dir = c.store_dir.take().or_else(|| self.store_dir.clone());
        }))
    }

    fn goes_on(&self, progress: Progress) -> bool {
        let Some(report) = &self.report else { return true };
        match report.try_lock() {
            Ok(mut report) => report(progress),
            Err(TryLockError::Poisoned(report)) => report.into_inner()(progress),
            // It is hearing another thread, or is itself at work with this client.
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

impl Container {
    /// Makes a container from `image`: a tarball, a directory, or `"host"`.
    pub fn create(image: impl AsRef<OsStr>, config: &Config) -> Result<Self> {
        Client::new().create(image, config)
    }

    /// A handle on a running container that any process of this user made.
    pub fn join(name: &str) -> Result<Self> {
        Client::new().join(name)
    }

    /// The namespaces of any process, as nsenter(1) enters them. Programs started there end with the handle.
    pub fn join_pid(pid: i32, namespaces: NamespaceSet) -> Result<Self> {
        Ok(Self { shared: Arc::new(join::join_pid(pid, namespaces)?), ends: true })
    }

    /// The running containers of this user, oldest first; sweeps what dead owners left.
    pub fn list() -> Result<Vec<ContainerInfo>> {
        Client::new().list()
    }

    /// Ends the container of this name, whatever its record is like; see [`Client::destroy_named`].
    pub fn destroy_named(name: &str) -> Result<()> {
        Client::new().destroy_named(name)
    }
}

/// The plan for `image` and `config`: every wall, on or off, and why, then the shell commands a person would type to get the
/// same, each with a line that says what it is for. Nothing is made, but the image is unpacked into the store.
pub fn explain(image: impl AsRef<OsStr>, config: &Config) -> Result<String> {
    Client::new().explain(image, config)
}
