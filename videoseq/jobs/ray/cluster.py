"""A Ray cluster as the driver finds it, or starts it: what room it has, and what of it an actor takes.

By default Ray sends usage statistics to its makers; here this is turned off.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from typing import Any

from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ConfigError, one_line
from videoseq.system.hardware import num_usable_cores

_CORES_PER_ACTOR = 2  # decoding and the CNN overlap
_STORE_BYTES = 100 << 20  # jobs and results are small
_CONNECT_SECONDS = 10.0
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what will be the default, of which it would warn
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # else it writes about dead nodes among our data on stdout
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else it writes on stderr that its metrics are not collected
}


@dataclass(frozen=True)
class Room:
    """What living nodes have, whoever uses it at the moment.

    Attributes:
        nodes: Cores and CUDA devices of each.
    """

    nodes: tuple[tuple[int, int], ...]

    def share(self, choice: RuntimeChoice) -> tuple[RuntimeChoice, dict[str, int]]:
        """What runs the CNN in each actor, and what the actor therefore takes of its node.

        Where there are CUDA devices and ``auto`` may use them, each actor gets one to itself.

        Raises:
            ConfigError: A device is asked for by its number, or none of that kind is there.
        """
        if choice.device.startswith("cuda:"):
            raise ConfigError(
                f"device: with Ray, which hands them out, expected auto, cpu or cuda, got {choice.device}"
            )
        num_devices = sum(devices for _, devices in self.nodes)
        if choice.device == "cuda" and not num_devices:
            raise ConfigError("device: cuda asked for, but no node of the Ray cluster has such a device")
        is_for_cpu = choice.library == "openvino" or choice.precision == "int8"
        on_cuda = choice.device == "cuda" or (choice.device == "auto" and num_devices > 0 and not is_for_cpu)
        cores_of_smallest = min((cores for cores, _ in self.nodes if cores), default=1)
        cores = choice.num_threads or min(_CORES_PER_ACTOR, cores_of_smallest)
        needs = {"num_cpus": cores, "num_gpus": int(on_cuda)}
        return replace(choice, device="cuda" if on_cuda else "cpu", num_threads=cores), needs

    def num_fitting(self, num_cpus: int, num_gpus: int) -> int:
        """How many actors fit that take so much each."""
        return sum(min(cores // num_cpus, devices // num_gpus if num_gpus else cores) for cores, devices in self.nodes)

    def __str__(self) -> str:
        most = max(self.nodes, default=(0, 0))
        return f"{len(self.nodes)} nodes, the largest with {most[0]} cores and {most[1]} CUDA devices"


def import_ray() -> Any:  # noqa: ANN401 (a module that may not be there)
    """Ray, told to send no usage statistics and to keep quiet.

    Raises:
        ConfigError: It is not installed.
    """
    os.environ.update(_ENVIRONMENT)  # it is read when Ray is imported
    try:
        import ray
        import ray.exceptions
        import ray.util
    except ImportError as error:
        raise ConfigError(f'engine: ray needs Ray: pip install "videoseq[ray]"; importing it said: {error}') from None
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[Room]:  # noqa: ANN401 (the module)
    """Inside, Ray is there: at an address, or for as long started on this machine, with the cores this process has.

    Raises:
        ConfigError: There is no cluster at the address, or it cannot be worked with.
    """
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = num_usable_cores()
        options |= {"address": "local", "include_dashboard": False, "num_cpus": cores}
        options |= {"object_store_memory": _STORE_BYTES}
    else:
        _check_address(address)
    try:
        with _elsewhere(), _signals_kept(), _python_alone_on_stderr():
            ray.init(**options)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(
            f"address: expected a Ray cluster at {address or 'this machine'}; {one_line(first)}"
        ) from None
    try:
        alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
        yield Room(tuple((int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive))
    finally:
        ray.shutdown()


def is_cut_off(ray: Any) -> bool:  # noqa: ANN401 (the module)
    """Whether the cluster has given up the node that this process is on, and with it our actors; nothing says so."""
    here = ray.get_runtime_context().get_node_id()
    return not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == here)


def _check_address(address: str) -> None:
    """Checks that the address answers, before Ray tries for minutes with many messages."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal() or "/" in host:
        raise ConfigError(
            f"address: expected auto or HOST:PORT of the cluster's head, got {address!r}; run this on one of its nodes"
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"address: expected the head of a Ray cluster at {address}; {error}") from None


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Inside, the current folder is Python's own: its actors import from Ray's, where recordings would lie."""
    before = os.getcwd()  # noqa: PTH109 (handed back as it is)
    os.chdir(sys.prefix)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Whatever Ray does about signals, who handles them stays."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _python_alone_on_stderr() -> Iterator[None]:
    """Inside, what is not written by Python does not reach stderr: with that, Ray says that it will keep quiet."""
    with os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1) as stderr, redirect_stderr(stderr):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(stderr.fileno(), 2)
