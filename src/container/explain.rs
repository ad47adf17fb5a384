//! Explain: the list of walls, and what is done to put them up, in an order in which a person can type it, into one shell that
//! starts others: unshare(1), nsenter(1), mount(8), pivot_root(8), setpriv(1).

use std::net::IpAddr;

use ctr_wire::RANGE_FIRST;

use super::blueprint::{Acquired, Blueprint, open_path};
use super::ids::Ids;
use super::network;
use super::state::StateDir;
use super::walls;
use crate::cgroup::Layout;
use crate::plan::{explained, quote};
use crate::{Result, Step};

impl Blueprint {
    /// Everything that a person would type, below a list of all walls.
    pub fn explain(mut self, state: &StateDir) -> Result<String> {
        self.unmade = self.upper.as_ref().map(|_| open_path(&self.store)).transpose()?;
        let acquired = Acquired::default();
        let setup = self.setup(None, &[])?;
        let finish = self.finish(&setup, &acquired)?;
        let mut text = match walls::warning(self.config.preset, self.asked.namespaces.asked("user").is_none()) {
            Some(warning) => format!("# {warning}\n"),
            None => String::new(),
        };
        text += &walls::table(&self.told_walls()?);
        text += &format!("# Container {}: what ctr does, as a person would type it.\n", quote(&self.name));
        text += "# (Type it into bash. It takes a recent util-linux: id-mapped mounts came with 2.39, Landlock and seccomp of setpriv later.)\n";
        text += "export ROOT=$(mktemp -d) SCRATCH=$(mktemp -d)\n";
        // Cgroups come first: once the root is the image, a person has none to write to.
        let cgroup = self.cgroup.iter().flat_map(Layout::commands);
        let cgroup = cgroup.map(|(command, why)| explained(&why, &command)).collect();
        // We make what goes into the root before the root itself, and move it there. A person has the root first. And where we
        // give up rights for all that PID 1 will start, a person gives them up by starting it: behind everything else.
        let (last, setup_commands): (Vec<_>, Vec<_>) =
            setup.plan.commands().into_iter().partition(|(step, _)| gives_up(*step));
        let (in_root, first): (Vec<_>, Vec<_>) =
            setup_commands.into_iter().partition(|(_, command)| command.contains("$ROOT"));
        let mut root = setup.root.commands();
        let tmp = root.iter().position(|(step, _)| *step == Step::MakeTmp);
        let after = root.split_off(tmp.unwrap_or(root.len()));
        let (pivot, after): (Vec<_>, Vec<_>) = after.into_iter().partition(|(step, _)| *step == Step::PivotRoot);
        let (behind, settle): (Vec<_>, Vec<_>) =
            finish.plan.commands().into_iter().partition(|(step, _)| gives_up(*step));
        let before = self.before(setup.handed > 0);
        text.extend([cgroup, before].into_iter().flatten());
        let parts = [setup.parent.commands(), first, root, in_root, after, settle, pivot, last, behind];
        text.extend(parts.into_iter().flatten().map(|(_, command)| command));
        if let Some(commands) = network::commands(&self.config, state) {
            text += "# Its place in the network. This goes into another shell, where PID is that of the new namespaces' process:\n";
            text.extend(commands.lines().map(|line| format!("# {line}\n")));
        }
        for port in &self.config.ports {
            let (address, to) = (port.address, port.to);
            let (family, bind) = match address.ip() {
                IpAddr::V4(ip) => ("TCP", ip.to_string()),
                IpAddr::V6(ip) => ("TCP6", format!("[{ip}]")),
            };
            text +=
                &format!("# Who connects to {address} is connected to {to} inside. This goes into another shell:\n");
            text += &format!("# socat {family}-LISTEN:{},bind={bind},fork ", address.port());
            text += &format!("EXEC:'nsenter -U -n -t PID nc {} {}'\n", to.ip(), to.port());
        }
        Ok(text)
    }

    /// What takes rights that nobody has inside.
    fn before(&self, handed: bool) -> Vec<String> {
        let mut before = Vec::new();
        if let Some(upper) = &self.upper {
            let command = format!("mkdir -p {}", quote(&upper.to_string_lossy()));
            before.push(explained("a place on disk for what the container writes", &command));
        }
        for volume in self.binds.iter().filter(|bind| bind.unmade) {
            let command = format!("mkdir -p {}", quote(&volume.path.to_string_lossy()));
            let why = "a volume: it outlives the container, and gets what the image has at its place while it is empty";
            before.push(explained(why, &command));
        }
        if handed {
            let command = "unshare --mount bash\nexport MAPPED=$(mktemp -d); chmod 755 $MAPPED";
            before.push(explained("nothing that is mounted from here on is seen by the host", command));
        }
        if self.ids == Ids::Range {
            let why = "ids of the host that nobody else has: ctr takes a range that no other container has";
            before.push(explained(why, &format!("export RANGE={RANGE_FIRST}")));
        }
        if let Some(command) = self.ids.explain_owner() {
            let why = "a user namespace; who is root in it has no rights over anything else of the host";
            before.push(explained(why, &command));
        }
        before
    }
}

/// Whether a person does it by a command that starts a shell with fewer rights: setpriv(1), keyctl(1).
fn gives_up(step: Step) -> bool {
    matches!(
        step,
        Step::DropCapabilities
            | Step::SetNoNewPrivs
            | Step::JoinNewKeyring
            | Step::RestrictByLandlock
            | Step::LoadSeccompFilter
    )
}
