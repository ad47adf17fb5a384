//! Snapshots: an image of a container's changes as they lie there, while it stands still.

use std::sync::Arc;
use std::time::Duration;

use super::export;
use super::shared::Shared;
use crate::Result;
use crate::image::{Image, MakeOptions, Report, Rights};

/// How long all processes may take to stand still; where they don't, the snapshot is taken of what runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the image.
pub fn snapshot(container: &Arc<Shared>, options: &MakeOptions, report: Report<'_>) -> Result<Image> {
    let mut running = export::running(container)?;
    let still = container.pause(Some(PATIENCE)).is_ok().then(|| Still(container));
    if still.is_some() && running.opener.is_some() {
        // PID 1 opens nothing meanwhile. Who has this user's ids may read what is of them.
        running.opener = Rights::of_this_user().opener();
    }
    running.snapshot(options, report)
}

/// It stands still until this is dropped.
struct Still<'c>(&'c Shared);

impl Drop for Still<'_> {
    fn drop(&mut self) {
        // A cgroup above that is frozen keeps it so; then somebody else has paused it.
        _ = self.0.resume();
    }
}
