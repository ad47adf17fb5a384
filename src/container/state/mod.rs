//! The state directory: what runs, on record. A record is the container's ledger ([`ledger`]): it names all that outlives a system
//! call, and is written before any of it exists; [`sweep`] releases that.
//!
//! `NAME.json` is the record, `NAME.sock` the control socket. A container's PID 1 holds a read lock on its record (an open file
//! description lock, fcntl(2), which the kernel releases when the process is gone, however it went), so a record that can be
//! locked for writing is a dead one, and whoever locks it sweeps what it names. No pid is ever guessed from.
//! PID 1 locks one byte for itself as well, of which the kernel says who holds it: that is who is listed.
//!
//! PID 1 has its record open for reading only: whoever takes it over can't write what we would believe. All that it can do is
//! to let go of the lock, and be swept. And what stands in a record is checked when it is used, not when it was written: a
//! cgroup is one of this container's name with this PID 1 in it, the changes on disk lie in the store that it was made with.

mod directory;
pub mod forwarder;
mod ledger;
mod name;
mod networks;
mod place;
mod record;
mod resource;
mod running;
mod sweep;

pub use directory::{RecordFile, StateDir, listener_pid, listener_pidfd};
pub use ledger::VERSION;
pub use name::{check_name, check_network, random_name};
pub use networks::{Member, NetworkRecord, Networks, own_namespace};
pub use record::{ExecDefaults, Listed, Record, Root, Text, start_of};
pub use resource::{Resource, Scratch};
pub use running::{Claim, ContainerInfo, Found, Unusable};
