"""Many programs at once in asyncio, without a thread: the loop waits for the descriptor of each."""

import asyncio

import ctr


async def finished(process: ctr.Popen[bytes]) -> ctr.Exit:
    """Waits, in the loop, for the end of a program."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)
    process.wait()
    assert process.exit is not None
    return process.exit


async def main() -> None:
    """Ten programs in one container."""
    with ctr.Container() as c:
        processes = [c.popen(["sh", "-c", f"sleep 0.{9 - n}; exit {n}"]) for n in range(10)]
        for done in asyncio.as_completed([finished(process) for process in processes]):
            print(f"one ended with {(await done).code}")
    print("all done")


asyncio.run(main())
