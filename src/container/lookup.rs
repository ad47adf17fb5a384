//! Program lookup: which paths are tried, and, where none works, what is missing. The search is execvp(3)'s, with
//! the container's PATH; the diagnosis looks at the program's own first bytes, as execve(2) does.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctr_wire::{BY_CHILD, RUN};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, MsgFlags, SockType, recv};
use nix::unistd::Whence;

use super::shared::Shared;
use super::state::Root;
use crate::plan::{CWD, Fd, Header, Plan, Slot, c_string};
use crate::{Error, ErrorCode, ExecConfig, Result, Step, hints};

/// The bytes of one argument or variable with its NUL, execve(2): 32 pages.
const MAX_ARG_STRLEN: usize = 128 << 10;

/// Directories of a PATH that are looked into, one by one, for what was wrong; an image may have it name a million.
const MAX_LOOKED_INTO: usize = 64;

/// A program and where it may be.
pub struct Lookup {
    program: Vec<u8>,
    cwd: Vec<u8>,
    /// Of its arguments.
    bytes: usize,
    /// Of the longest of them.
    longest: usize,
}

/// What execve(2) refused, told apart by looking.
enum Kind {
    /// A script and its interpreter.
    Script(Vec<u8>),
    /// An ELF file and its loader.
    Dynamic(Vec<u8>),
    Other,
}

impl Lookup {
    /// Checks what can be checked before anything is done.
    pub fn new(container: &Arc<Shared>, argv: &[&OsStr], config: &ExecConfig) -> Result<Self> {
        container.check_running()?;
        let first = argv.first().copied();
        let program = first.map(|first| config.program.as_deref().unwrap_or(first).as_bytes());
        let program = program.unwrap_or_default();
        if program.is_empty() {
            return Err(Error::invalid(
                Step::StartProgram,
                "a program",
                "argv is empty: its first entry names the program",
            ));
        }
        for argument in argv {
            c_string(Step::StartWithArgument, argument.as_bytes())?;
        }
        c_string(Step::StartProgram, program)?;
        let cwd = config.cwd.as_deref().or(container.record.exec.cwd.as_deref());
        let cwd = cwd.map_or(&b"/"[..], |cwd| cwd.as_os_str().as_bytes()).to_vec();
        let lengths = || argv.iter().map(|argument| argument.len() + 1);
        let (bytes, longest) = (lengths().sum(), lengths().max().unwrap_or_default());
        Ok(Self { program: program.to_vec(), cwd, bytes, longest })
    }

    /// The program's name as given.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.program).into_owned()
    }

    /// The paths to try, in order.
    fn candidates(&self, env: &[Vec<u8>]) -> Vec<Vec<u8>> {
        if self.program.contains(&b'/') {
            return vec![self.program.clone()];
        }
        let path = env.iter().find_map(|entry| entry.strip_prefix(b"PATH=")).unwrap_or(b"/bin:/usr/bin");
        path.split(|&byte| byte == b':')
            .map(|dir| {
                let dir: &[u8] = if dir.is_empty() { b"." } else { dir };
                [dir, b"/", &self.program].concat()
            })
            .collect()
    }

    /// Appends the execve calls.
    pub fn put(&self, plan: &mut Plan<'_>, argv: &[&OsStr], env: &[Vec<u8>]) {
        plan.step(Step::StartProgram, self.name(), "", "");
        let candidates = self.candidates(env);
        let arguments = plan.strings(argv.iter().map(|argument| argument.as_bytes()));
        let environment = plan.strings(env);
        let several = candidates.len() > 1;
        for path in candidates {
            let path = plan.bytes(path);
            let call = plan.execve(path, arguments, environment);
            if several {
                call.one_of_several();
            }
        }
    }

    /// Why it can't be run, in words.
    /// All looks together end at `until`: each takes as long as what is in the container has it take.
    pub fn explain(&self, container: &Shared, errno: i32, env: &[Vec<u8>], until: Instant) -> Error {
        let name = self.name();
        let fail = |code, errno, why: String| Error::new(code, Step::StartProgram, &name, errno, why);
        match errno {
            // fork(2) in a PID namespace whose first process is gone.
            libc::ENOMEM if !container.record.exec.own_pid => {
                return fail(ErrorCode::Exec, errno, String::new())
                    .with_hint("the PID namespace that was joined has ended");
            }
            libc::EAGAIN => {
                return fail(ErrorCode::Exec, errno, String::new()).with_hint(hints::CONTAINER_PROCESSES);
            }
            _ => {}
        }
        let candidates = self.candidates(env);
        let looks = Looks { container, until };
        let mut looked_into = candidates.iter().take(MAX_LOOKED_INTO);
        let found = looked_into.find_map(|path| Some((path.clone(), looks.open(&self.full(path))?)));
        let Some((path, file)) = found else {
            if errno != libc::ENOENT && errno != libc::ENOTDIR {
                return Error::system(Step::StartProgram, &name, errno).with_code(ErrorCode::Exec);
            }
            if self.program.contains(&b'/') {
                let error =
                    fail(ErrorCode::NotFound, errno, "ENOENT, there is no such program in the container".into());
                let on_host = self.program.starts_with(b"/") && Path::new(OsStr::from_bytes(&self.program)).exists();
                return if on_host { error.with_hint(hints::PROGRAM_OF_HOST) } else { error };
            }
            let path = env.iter().find_map(|entry| entry.strip_prefix(b"PATH=")).unwrap_or(b"/bin:/usr/bin");
            let path = String::from_utf8_lossy(path);
            let error = fail(
                ErrorCode::NotFound,
                errno,
                format!("ENOENT, no directory of the container's PATH has it ({path})"),
            );
            return match &container.record.root {
                _ if name.contains(' ') => {
                    error.with_hint("arguments are words of their own in argv, or run it by a shell")
                }
                // Who meant the name of an image does not know of the directory.
                Root::Directory(path) if !container.record.image.contains('/') => error.with_hint(format!(
                    "no image is called {}, so the container is one of the directory {}",
                    container.record.image,
                    path.display()
                )),
                _ => error,
            };
        };
        let shown = String::from_utf8_lossy(&path).into_owned();
        match errno {
            libc::EACCES if not_executable(&file).is_some() => self.may_not_run(&shown, &file),
            libc::ENOENT | libc::EACCES | libc::ELIBBAD => self.needs(&looks, &path).unwrap_or_else(|| match errno {
                libc::EACCES => self.may_not_run(&shown, &file),
                _ => fail(ErrorCode::Exec, errno, format!("ENOENT, {shown} is there, but something it needs is not")),
            }),
            libc::ENOEXEC => fail(
                ErrorCode::Exec,
                errno,
                format!("ENOEXEC, {shown} is neither a program for this machine nor a script that starts with #!"),
            ),
            libc::E2BIG => {
                let longest = env.iter().map(|entry| entry.len() + 1).max().unwrap_or_default().max(self.longest);
                let (args, env) = (self.bytes, env.iter().map(|entry| entry.len() + 1).sum::<usize>());
                let why = if longest > MAX_ARG_STRLEN {
                    format!("E2BIG, one argument or variable has {longest} bytes, the most is {MAX_ARG_STRLEN}")
                } else {
                    format!("E2BIG, the arguments ({args} bytes) and the environment ({env} bytes) are too large")
                };
                fail(ErrorCode::Exec, errno, why).with_hint("hand over much data by a file or by stdin")
            }
            _ => Error::system(Step::StartProgram, &name, errno).with_code(ErrorCode::Exec),
        }
    }

    /// What is wrong with what it needs besides itself: its interpreter, that one's, and so on to an ELF loader.
    fn needs(&self, looks: &Looks<'_>, path: &[u8]) -> Option<Error> {
        let mut path = path.to_vec();
        // The kernel follows no more interpreters of interpreters than that.
        for depth in 0..6 {
            let (what, needed) = match kind(looks, &self.full(&path)) {
                Kind::Script(needed) => ("interpreter", needed),
                Kind::Dynamic(needed) => ("ELF loader", needed),
                Kind::Other => return None,
            };
            let name = String::from_utf8_lossy(&needed).replace('\r', "\\r");
            let named = match depth {
                0 => format!("its {what} {name}"),
                _ => format!("the {what} {name} of {}", String::from_utf8_lossy(&path)),
            };
            let Some(file) = looks.open(&self.full(&needed)) else {
                looks.left()?;
                let why = format!("ENOENT, {named} is missing in the container");
                let error = Error::new(ErrorCode::NotFound, Step::StartProgram, self.name(), libc::ENOENT, why);
                return Some(match what {
                    "ELF loader" => error.with_hint(
                        "the program is linked for another system: use a static one, or an image with that loader",
                    ),
                    _ if needed.ends_with(b"\r") => {
                        error.with_hint("its lines end as on Windows: sed -i 's/\\r$//' FILE")
                    }
                    _ => error,
                });
            };
            if let Some(why) = not_executable(&file) {
                let why = format!("EACCES, {named} {why}");
                return Some(Error::new(ErrorCode::Exec, Step::StartProgram, self.name(), libc::EACCES, why));
            }
            path = needed;
        }
        None
    }

    fn may_not_run(&self, path: &str, file: &OwnedFd) -> Error {
        let why = match not_executable(file) {
            Some(why) => format!("EACCES, {path} {why}"),
            None => format!("EACCES, this user may not run {path}, or its file system is mounted noexec"),
        };
        Error::new(ErrorCode::Exec, Step::StartProgram, self.name(), libc::EACCES, why)
    }

    /// `path` from the root on.
    fn full(&self, path: &[u8]) -> Vec<u8> {
        if path.starts_with(b"/") { path.to_vec() } else { [&self.cwd[..], b"/", path].concat() }
    }
}

/// Looks into the container, and when there is no more time for them.
struct Looks<'a> {
    container: &'a Shared,
    until: Instant,
}

impl Looks<'_> {
    /// How long the next one may take, if there may be one.
    fn left(&self) -> Option<Duration> {
        self.until.checked_duration_since(Instant::now()).filter(|left| *left >= Duration::from_millis(1))
    }

    /// Has a child of PID 1 walk a plan, and answers what it hands back.
    fn ask(&self, plan: &Plan<'_>, give: &[Slot]) -> Option<Vec<OwnedFd>> {
        let patience = self.left()?;
        let mut header = Header::new(RUN).giving(give);
        header.flags |= BY_CHILD;
        header.patience = patience.as_millis() as u64;
        self.container.run_within(&header, plan, patience + Duration::from_secs(1)).ok()
    }

    /// A file of the container, only as a place (O_PATH): a fifo or a device in it does nothing. Nothing where there is none.
    fn open(&self, path: &[u8]) -> Option<OwnedFd> {
        let mut plan = Plan::new();
        let slot = look_at(&mut plan, path, OFlag::O_PATH)?;
        self.ask(&plan, &[slot])?.pop()
    }

    /// The first bytes of a file, about as many as `most`.
    fn read(&self, path: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let piece = self.read_piece(path, bytes.len())?;
            bytes.extend_from_slice(&piece);
            // The last page of a file is seldom a whole one.
            if piece.is_empty() || piece.len() % PAGE != 0 {
                break;
            }
        }
        bytes.truncate(most);
        Some(bytes)
    }

    /// As much as an empty socket takes, so that nobody waits for its reader. It is no pipe, which sendfile(2) locks while it waits
    /// for the file, so that we could not even close it (`splice_file_to_pipe` of fs/splice.c); and no file, to which the
    /// container's limit on the size of files applies.
    fn read_piece(&self, path: &[u8], from: usize) -> Option<Vec<u8>> {
        const PIECE: usize = 64 << 10;
        let (ours, theirs) = crate::sys::socketpair(AddressFamily::Unix, SockType::Stream).ok()?;
        let mut plan = Plan::new();
        let into = plan.send(Fd::Owned(theirs));
        let slot = look_at(&mut plan, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
        plan.lseek(slot, from, Whence::SeekSet);
        plan.sendfile(into, slot, PIECE);
        self.ask(&plan, &[])?;
        let (mut bytes, mut filled) = (vec![0; PIECE], 0);
        // Whoever has taken PID 1 over may keep the other end, and write nothing: we never wait for it.
        while filled < PIECE {
            match recv(ours.as_raw_fd(), &mut bytes[filled..], MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(length) => filled += length,
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        bytes.truncate(filled);
        Some(bytes)
    }
}

/// Opens `path` with `flags`, open(2), in PID 1's child, so that it is the container's path.
fn look_at(plan: &mut Plan<'_>, path: &[u8], flags: OFlag) -> Option<Slot> {
    plan.step(Step::LookAtProgram, String::from_utf8_lossy(path).into_owned(), "", "");
    let slot = plan.slot();
    let path = plan.string(c_string(Step::LookAtProgram, path).ok()?);
    plan.openat(CWD, path, flags | OFlag::O_CLOEXEC).out(slot);
    Some(slot)
}

/// Why nobody can execute a file.
fn not_executable(file: &OwnedFd) -> Option<String> {
    match crate::sys::fs::known_mode(file).ok()? {
        mode if mode & libc::S_IFMT == libc::S_IFDIR => Some("is a directory".into()),
        mode if mode & 0o111 == 0 => Some(format!("is not executable (mode {:04o})", mode & 0o7777)),
        _ => None,
    }
}

/// The first bytes of a file of the container, about as many as `most`, within `patience`. Children of PID 1 read it for us: with
/// the container's rights, so what these don't let it read we don't read for it; and where the file is on a file system that does
/// not answer, as a FUSE may, they wait, and not we. A fifo would not keep them waiting.
pub fn read_file(container: &Shared, path: &[u8], most: usize, patience: Duration) -> Option<Vec<u8>> {
    Looks { container, until: Instant::now() + patience }.read(path, most)
}

const PAGE: usize = 4096;

fn kind(looks: &Looks<'_>, path: &[u8]) -> Kind {
    let Some(start) = looks.read(path, 64 << 10) else { return Kind::Other };
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        // As the kernel reads it, to which a carriage return is a part of the name.
        let mut words = line.split(|byte| b" \t\0".contains(byte)).filter(|word| !word.is_empty());
        return words.next().map_or(Kind::Other, |word| Kind::Script(word.to_vec()));
    }
    elf_interpreter(&start).map_or(Kind::Other, Kind::Dynamic)
}

/// PT_INTERP of a 64-bit little-endian ELF file, elf(5).
fn elf_interpreter(file: &[u8]) -> Option<Vec<u8>> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, len: usize| -> Option<usize> {
        let mut bytes = [0u8; 8];
        bytes.get_mut(..len)?.copy_from_slice(file.get(at..at.checked_add(len)?)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (headers, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for i in 0..count {
        let header = headers.checked_add(i.checked_mul(size)?)?;
        if number(header, 4)? == PT_INTERP as usize {
            let (at, len) = (number(header.checked_add(8)?, 8)?, number(header.checked_add(32)?, 8)?);
            let path = file.get(at..at.checked_add(len)?)?;
            return Some(path.split(|&byte| byte == 0).next()?.to_vec());
        }
    }
    None
}
