"""joblib in containers: a backend for `joblib.Parallel`, and so for what stands on it, as scikit-learn.

    >>> import ctr.joblib, joblib
    >>> with joblib.parallel_config("ctr", n_jobs=4, image="host", memory="512M"):
    ...     joblib.Parallel()(joblib.delayed(render)(page) for page in pages)

Importing it registers the backend. Its keywords are those of `ctr.ContainerPoolExecutor`, whose rules hold: results are
plain values and numpy arrays unless `trust_results` is set, a task that runs out of memory raises `MemoryError`, and a
failure costs its worker alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from joblib import register_parallel_backend  # type: ignore[import-untyped]
from joblib.parallel import ParallelBackendBase  # type: ignore[import-untyped]

from ._executor import ContainerPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["ContainerBackend"]


class ContainerBackend(ParallelBackendBase):  # type: ignore[misc]
    """What `joblib.parallel_config("ctr")` uses: a pool of containers for each call of `joblib.Parallel`."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **options: Any):
        """As joblib makes it.

        Args:
            nesting_level: In how many other calls of `Parallel` this one is.
            inner_max_num_threads: How many threads libraries as OpenBLAS may have in each worker; by default the
                processors are divided among the workers.
            **options: The keywords of `ctr.ContainerPoolExecutor`, but for `max_workers`, which is joblib's `n_jobs`.
        """
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        if "max_workers" in options or "initializer" in options:
            raise TypeError("joblib says how many workers there are (n_jobs), and what they begin with")
        self._options = options
        self._pool: ContainerPoolExecutor | None = None
        self._workers = 1

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers `n_jobs` are: -1 is one for each processor, -2 one less."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(len(os.sched_getaffinity(0)) + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **ignored: Any) -> int:
        """Make the pool, for a call of `Parallel`."""
        self.parallel = parallel
        self._workers = self.effective_n_jobs(n_jobs)
        self._pool = self._new()
        return self._workers

    def _new(self) -> ContainerPoolExecutor:
        # Before any library that reads these is loaded. A builtin needs no module of ours inside.
        threads = self._prepare_worker_env(n_jobs=self._workers)
        begin = f"import os; os.environ.update({threads!r})"
        return ContainerPoolExecutor(max_workers=self._workers, initializer=exec, initargs=(begin,), **self._options)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future[Any]:
        """Have a batch of tasks called in a worker."""
        assert self._pool is not None
        future = self._pool.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    # As joblib before 1.5 calls it.
    apply_async = submit

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End the containers at once: a task has failed, or nobody waits any more."""
        self.terminate()
        if ensure_ready:
            self._pool = self._new()

    def terminate(self) -> None:
        """End the containers; `Parallel` has all results."""
        if self._pool is not None:
            self._pool.kill_workers()
            self._pool = None


register_parallel_backend("ctr", ContainerBackend)
