"""Run a command in a sandbox: no network, few files, and only its results are writable.

Run as a script by `ml.judge.confine`, it needs the standard library alone: Linux namespaces through libc, as
bubblewrap makes them. The command gets a new user (without rights), network (loopback alone), process and
mount namespace; it sees the paths that it is given and no others; it ends with the process that started it.

Its exit code is the command's, or `NOT_PERMITTED` with the reason on stderr where there can be no such place.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

NOT_PERMITTED = 71
"""EX_OSERR of sysexits.h: the place cannot be made."""

INSIDE = 1000
"""The user's number in the new namespace: not root, so that executing the command drops all capabilities."""

# linux/sched.h, linux/mount.h, linux/prctl.h, linux/sockios.h
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 0x1, 0x2, 0x4
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "s390x": 217}
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
CAPABILITIES = 64
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

LIBC = ctypes.CDLL(None, use_errno=True)


def main(plan: dict[str, Any]) -> NoReturn:
    """Make the place, and become the command.

    Args:
        plan: ``root``: an empty folder to mount on; ``read`` and ``write``: paths; ``command``; ``env``;
            ``memory``, ``file`` (bytes) and ``cpu`` (seconds), each for one process; ``parent``: who starts
            this.
    """
    end_with_parent()
    if os.getppid() != plan["parent"]:
        raise OSError("the process that started this is gone")
    user, group = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE} {group} 1")
    # The first child of this process is the first of the new namespace: with it all others end.
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    end_with_parent()
    loopback_up()
    make_root(plan["root"], plan["read"], plan["write"])
    bound(plan["memory"], plan["file"], plan["cpu"])
    os.chdir("/tmp")  # noqa: S108
    os.closerange(3, 4096)
    os.execve(plan["command"][0], plan["command"], plan["env"])  # noqa: S606


def call(name: str, *arguments: Any) -> None:
    """Call a function of libc.

    Raises:
        OSError: it fails.
    """
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def end_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def loopback_up() -> None:
    """Bring up the one interface of a new network namespace."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", IFF_UP)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def make_root(root: str, read: list[str], write: list[str]) -> None:
    """Make a file system of the given paths, and let it be the only one.

    Args:
        root: an empty folder.
        read: paths that can be read; those that are not there are left out.
        write: folders that can be written too.
    """
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    mount_tmpfs(root, "64m")
    # First, since the paths may be below /tmp.
    for path, size in (("/tmp", "512m"), ("/dev/shm", "256m")):  # noqa: S108
        Path(root + path).mkdir(parents=True, exist_ok=True)
        mount_tmpfs(root + path, size)
    seen: list[Path] = []
    for path in (*read, *DEVICES):
        real = Path(path).resolve()
        if real.exists() and not any(real.is_relative_to(one) for one in seen):
            seen.append(real)
            bind(root, real)
            # /dev/null and its like are devices; what else looks like one is not to be used.
            device = 0 if path in DEVICES else MOUNT_ATTR_NODEV
            attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | device
            protect(f"{root}{real}", attributes, AT_RECURSIVE)
        link(root, Path(path), real)
    for path in write:
        bind(root, Path(path).resolve())
        link(root, Path(path), Path(path).resolve())
    mount_proc(root + "/proc")
    os.chdir(root)
    number = SYS_PIVOT_ROOT[platform.machine()]
    # The old root is stacked on the new one, and then taken away: pivot_root(2).
    call("syscall", number, b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    protect("/", MOUNT_ATTR_RDONLY, 0)


def mount_proc(path: str) -> None:
    """Mount the processes of this namespace, for reading: the kernel's settings are there too.

    Whoever is root outside has the right to write them, under any number inside: core_pattern names a program
    that the kernel runs as root, outside of all namespaces.
    """
    Path(path).mkdir()
    call("mount", b"proc", path.encode(), b"proc", MS_NOSUID | MS_NODEV, None)
    # Of this user namespace alone. In one below it the command would have all capabilities again.
    with contextlib.suppress(OSError):
        Path(path, "sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    protect(path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0)


def mount_tmpfs(path: str, size: str) -> None:
    """Mount an empty file system in memory."""
    call("mount", b"tmpfs", path.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode=755".encode())


def bind(root: str, path: Path) -> None:
    """Let a path, which is no link, be seen below a root."""
    target = Path(f"{root}{path}")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            target.mkdir()
        else:
            target.touch()
    call("mount", bytes(path), bytes(target), None, MS_BIND | MS_REC, None)


def link(root: str, path: Path, real: Path) -> None:
    """Let a path that is a link, or below one, lead below a root where it leads to outside."""
    alias = Path(f"{root}{path}")
    if path != real and not alias.exists() and not alias.is_symlink():
        alias.parent.mkdir(parents=True, exist_ok=True)
        alias.symlink_to(real)


def protect(path: str, attributes: int, flags: int) -> None:
    """Add attributes to a mount, and to those below it where the flags say so: mount_setattr(2)."""
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    attr = struct.pack("QQQQ", attributes, 0, 0, 0)
    call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attr, len(attr))


def bound(memory: int, file: int, cpu: int) -> None:
    """Bound what a process may use, and take away all capabilities for good."""
    limits = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: file,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    for capability in range(CAPABILITIES):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    try:
        main(json.load(sys.stdin))
    except OSError as reason:
        sys.stderr.write(f"{reason}\n")
        os._exit(NOT_PERMITTED)
