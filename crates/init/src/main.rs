//! The program that runs as a host process's zygote and as PID 1 of its containers: freestanding, static, without an
//! allocator, run from a sealed memfd.
//!
//! - As the **zygote** it waits on descriptor 0 for requests of its host and clones the PID 1 of each container. It ends
//!   when the host dies or execs (`lifeline`).
//! - As **PID 1** (it is a clone, nothing is executed) it walks the rest of the container's plan, then starts the programs it
//!   is handed, reaps whatever dies, and reports exits.
//!
//! Both are one loop over the same requests: see `serve`. A helper in a container's network may leave it for another one, `forward`. There is no std here, and no panic either: the panic handler refers
//! to a symbol that doesn't exist, so a panic that could happen does not link.
//!
//! The program that runs is the one that build.rs makes, with `panic = "abort"`. Cargo compiles this source too, so that clippy and
//! editors see it; but cargo's profiles unwind, for which a program without std has no means. So std is there then, unused.

#![no_std]
#![no_main]
#![allow(missing_docs)]

#[cfg(panic = "unwind")]
extern crate std;

mod budget;
mod cgroup;
mod children;
mod claim;
mod forward;
mod kernel;
mod lifeline;
mod lost;
mod memory;
mod message;
mod newuidmap;
mod owner;
mod runtime;
mod serve;
mod spawn;
mod start;
mod sweep;
mod text;
mod wait;
mod walk;

/// Called by `_start` with the stack as execve(2) leaves it: argc, argv.
#[unsafe(no_mangle)]
extern "C" fn start(stack: *const usize) -> ! {
    const PR_SET_NAME: usize = 15;
    // SAFETY: a NUL-terminated name.
    unsafe { kernel::syscall3(kernel::nr::PRCTL, PR_SET_NAME, c"ctr-zygote".as_ptr() as usize, 0) };
    // SAFETY: argv[0] is there: our own host wrote it.
    let title = unsafe { *stack.add(1) };
    let whole = |at: usize| at & !(memory::PAGE - 1);
    // SAFETY: of what execve(2) has left there, this was the last that is needed, but for the string itself.
    unsafe { memory::give_back(whole(stack as usize), whole(title) - whole(stack as usize)) };
    if !kernel::settle_signals() || !message::settle() || !lifeline::watch() {
        kernel::exit(1);
    }
    serve::serve(title)
}
