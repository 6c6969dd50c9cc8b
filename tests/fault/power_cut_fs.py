#!/usr/bin/env python3
"""A file system that forgets, at a power cut, what nobody synced.

    power_cut_fs.py MOUNT STATE [--ignore-syncs files|folders]

Mounts at MOUNT what lies in STATE. File content is durable after fsync of the file, a name after
fsync of its folder; a rename within a folder is one step. The rest is at the mercy of the cut.
(ext4, XFS and btrfs keep the names of synced files, too; no standard promises it.)
Speaks the kernel's protocol on /dev/fuse (linux/fuse.h, version 7.31); needs root, no library.

Commands on standard input, each answered by one line on standard output:
    cut SURVIVORS     from now on nothing is answered; STATE becomes what the disk holds.
                      SURVIVORS: `none` of what is not synced, or a number that seeds which of it
    fail-sync N       the N-th sync from now answers EIO and makes nothing durable
    syncs             how many syncs were asked for
    end               unmounts
"""

import argparse
import ctypes
import errno
import os
import random
import select
import shutil
import stat
import struct
import sys
import time
from pathlib import Path

NEVER = 10**9  # seconds an answer holds: nobody but the kernel changes anything
REQUEST = struct.Struct("<IIQQIIIHH")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
MAX_WRITE = 1 << 20
ATOMIC_TRUNCATE, BIG_WRITES, MAX_PAGES = 1 << 3, 1 << 5, 1 << 22
KEEP_CACHE = 2
NO_REPLACE = 1
MODE, SIZE, MODIFIED, MODIFIED_NOW = 1, 8, 32, 256


class Failure(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class File:
    """Content as seen, and as the disk has it with the steps since."""

    def __init__(self, mode, durable=b""):
        self.mode = mode
        self.names = 0
        self.modified_ns = time.time_ns()
        self.content = bytearray(durable)
        self.durable = bytearray(durable)
        self.steps = []

    def size(self):
        return len(self.content)

    @staticmethod
    def apply(content, step):
        offset, data = step
        if data is None:
            del content[offset:]
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        if data is not None:
            content[offset:offset + len(data)] = data

    def do(self, offset, data):
        self.apply(self.content, (offset, data))
        self.steps.append((offset, data))
        self.modified_ns = time.time_ns()

    def sync(self):
        for step in self.steps:
            self.apply(self.durable, step)
        self.steps = []

    def survive(self, chance):
        """Pages are written out in any order and at any time before the cut."""
        for step in chance.subset(self.steps):
            self.apply(self.durable, step)


class Folder:
    """Names as seen, and as the disk has them with the steps since."""

    def __init__(self, mode):
        self.mode = mode
        self.modified_ns = time.time_ns()
        self.content = {}
        self.durable = {}
        self.steps = []

    def size(self):
        return 4096

    @staticmethod
    def apply(names, step):
        for name, node in step:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def do(self, *changes):
        """Changes of names that happen together: (name, node or None)."""
        self.apply(self.content, changes)
        self.steps.append(changes)
        self.modified_ns = time.time_ns()

    def sync(self):
        self.durable = dict(self.content)
        self.steps = []

    def survive(self, chance):
        """A journal keeps the order of changes."""
        for step in chance.prefix(self.steps):
            self.apply(self.durable, step)


class Chance:
    def __init__(self, survivors):
        self.random = None if survivors == "none" else random.Random(int(survivors))

    def prefix(self, steps):
        return steps[:self.random.randint(0, len(steps))] if self.random else []

    def subset(self, steps):
        if not self.random:
            return []
        kind = self.random.choice(["none", "all", "prefix", "any"])
        if kind == "any":
            return [step for step in steps if self.random.random() < 0.5]
        return {"none": [], "all": steps}.get(kind, self.prefix(steps))


class Disk:
    """Nodes by number, and the operations of the protocol as methods named by opcode."""

    def __init__(self, state, ignored):
        self.ignored = {"files": File, "folders": Folder}.get(ignored, ())
        self.failing_sync = None
        self.syncs = 0
        self.nodes = {}
        self.numbers = {}
        self.root = self.load(Path(state))
        self.add(self.root, 1)

    def load(self, place):
        folder = Folder(stat.S_IFDIR | 0o755)
        for entry in sorted(place.iterdir()) if place.is_dir() else ():
            node = (self.load(entry) if entry.is_dir() else
                    File(stat.S_IFREG | 0o644, entry.read_bytes()))
            if isinstance(node, File):
                node.names = 1
                node.modified_ns = entry.stat().st_mtime_ns
            folder.content[entry.name] = node
        folder.durable = dict(folder.content)
        return folder

    def save(self, state, survivors):
        chance = Chance(survivors)
        shutil.rmtree(state, ignore_errors=True)
        self.save_below(self.root, Path(state), chance, {})

    def save_below(self, folder, place, chance, done):
        place.mkdir()
        folder.survive(chance)
        for name, node in folder.durable.items():
            if isinstance(node, Folder):
                self.save_below(node, place / name, chance, done)
                continue
            if id(node) not in done:
                node.survive(chance)
                done[id(node)] = node
            (place / name).write_bytes(node.durable)
            os.utime(place / name, ns=(node.modified_ns, node.modified_ns))

    def add(self, node, number=None):
        if id(node) not in self.numbers:
            number = number or len(self.nodes) + 1
            self.numbers[id(node)] = number
            self.nodes[number] = node
        return self.numbers[id(node)]

    # ---- parts of answers ---------------------------------------------------------------------

    def attributes(self, node):
        seconds, nanos = divmod(node.modified_ns, 10**9)
        links = node.names if isinstance(node, File) else 2
        return ATTRIBUTES.pack(self.add(node), node.size(), (node.size() + 511) // 512, seconds, seconds,
                               seconds, nanos, nanos, nanos, node.mode, links, os.geteuid(), os.getegid(),
                               0, 4096, 0)

    def entry(self, node):
        return struct.pack("<QQQQII", self.add(node), 0, NEVER, NEVER, 0, 0) + self.attributes(node)

    @staticmethod
    def opened():
        return struct.pack("<QII", 0, KEEP_CACHE, 0)

    def child(self, folder, name):
        node = folder.content.get(name)
        if node is None:
            raise Failure(errno.ENOENT)
        return node

    def make(self, folder, name, node):
        if name in folder.content:
            raise Failure(errno.EEXIST)
        if isinstance(node, File):
            node.names = 1
        folder.do((name, node))
        return node

    @staticmethod
    def name(body):
        return body[:body.index(b"\0")].decode()

    # ---- operations ---------------------------------------------------------------------------

    def op_26_init(self, node, body):
        major, minor, readahead = struct.unpack_from("<III", body)
        return struct.pack("<IIIIHHIIHHI28x", 7, min(minor, 31), readahead,
                           ATOMIC_TRUNCATE | BIG_WRITES | MAX_PAGES, 64, 48, MAX_WRITE, 1,
                           MAX_WRITE // 4096, 0, 0)

    def op_1_lookup(self, node, body):
        return self.entry(self.child(node, self.name(body)))

    def op_3_getattr(self, node, body):
        return struct.pack("<QII", NEVER, 0, 0) + self.attributes(node)

    def op_4_setattr(self, node, body):
        valid, size, modified, nanos, mode = (struct.unpack_from("<I", body)[0],
                                              struct.unpack_from("<Q", body, 16)[0],
                                              struct.unpack_from("<Q", body, 40)[0],
                                              struct.unpack_from("<I", body, 60)[0],
                                              struct.unpack_from("<I", body, 68)[0])
        if valid & SIZE:
            node.do(size, None)
        if valid & MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        if valid & MODIFIED and not valid & MODIFIED_NOW:
            node.modified_ns = modified * 10**9 + nanos
        return self.op_3_getattr(node, body)

    def op_9_mkdir(self, node, body):
        mode, umask = struct.unpack_from("<II", body)
        return self.entry(self.make(node, self.name(body[8:]), Folder(stat.S_IFDIR | mode & ~umask)))

    def op_8_mknod(self, node, body):
        mode, _, umask = struct.unpack_from("<III", body)
        return self.entry(self.make(node, self.name(body[16:]), File(mode & ~umask)))

    def op_35_create(self, node, body):
        flags, mode, umask = struct.unpack_from("<III", body)
        name = self.name(body[16:])
        if name in node.content and not flags & os.O_EXCL:
            made = node.content[name]
            if flags & os.O_TRUNC:
                made.do(0, None)
        else:
            made = self.make(node, name, File(stat.S_IFREG | mode & ~umask))
        return self.entry(made) + self.opened()

    def op_51_tmpfile(self, node, body):
        flags, mode, umask = struct.unpack_from("<III", body)
        return self.entry(File(stat.S_IFREG | mode & ~umask)) + self.opened()

    def op_13_link(self, node, body):
        file = self.nodes[struct.unpack_from("<Q", body)[0]]
        names = file.names
        self.make(node, self.name(body[8:]), file)
        file.names = names + 1
        return self.entry(file)

    def op_10_unlink(self, node, body):
        name = self.name(body)
        self.child(node, name).names -= 1
        node.do((name, None))
        return b""

    def op_11_rmdir(self, node, body):
        name = self.name(body)
        if self.child(node, name).content:
            raise Failure(errno.ENOTEMPTY)
        node.do((name, None))
        return b""

    def rename(self, node, target, names, flags):
        old, new = (name.decode() for name in names.split(b"\0")[:2])
        moved = self.child(node, old)
        if flags & ~NO_REPLACE:
            raise Failure(errno.EINVAL)
        replaced = target.content.get(new)
        if replaced is not None and flags & NO_REPLACE:
            raise Failure(errno.EEXIST)
        if isinstance(replaced, File):
            replaced.names -= 1
        if node is target:
            node.do((old, None), (new, moved))
        else:
            target.do((new, moved))
            node.do((old, None))
        return b""

    def op_12_rename(self, node, body):
        return self.rename(node, self.nodes[struct.unpack_from("<Q", body)[0]], body[8:], 0)

    def op_45_rename2(self, node, body):
        target, flags = struct.unpack_from("<QI", body)
        return self.rename(node, self.nodes[target], body[16:], flags)

    def op_14_open(self, node, body):
        if struct.unpack_from("<I", body)[0] & os.O_TRUNC:
            node.do(0, None)
        return self.opened()

    def op_15_read(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(node.content[offset:offset + size])

    def op_16_write(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        node.do(offset, bytes(body[40:40 + size]))
        return struct.pack("<II", size, 0)

    def op_17_statfs(self, node, body):
        return struct.pack("<QQQQQIIII24x", 1 << 24, 1 << 23, 1 << 23, 1 << 20, 1 << 20, 4096, 255, 4096, 0)

    def op_20_fsync(self, node, body):
        self.syncs += 1
        if self.syncs == self.failing_sync:
            raise Failure(errno.EIO)
        if not isinstance(node, self.ignored):
            node.sync()
        return b""

    op_30_fsyncdir = op_20_fsync

    def op_28_readdir(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        answer = b""
        for at, (name, child) in enumerate(node.content.items()):
            text = name.encode()
            entry = struct.pack("<QQII", self.add(child), at + 1, len(text), child.mode >> 12) + text
            entry += bytes(-len(entry) % 8)
            if at < offset:
                continue
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def op_18_release(self, node, body):
        return b""

    op_25_flush = op_29_releasedir = op_34_access = op_38_destroy = op_18_release

    def op_27_opendir(self, node, body):
        return struct.pack("<QII", 0, 0, 0)


OPERATIONS = {int(name.split("_")[1]): name for name in dir(Disk) if name.startswith("op_")}
FORGETS = {2, 42, 36}  # not answered: forget, batch forget, interrupt


class Mount:
    def __init__(self, target, disk):
        self.target, self.disk = target, disk
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
        if self.libc.mount(b"power-cut", target.encode(), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mounting at {target} failed")

    def unmount(self):
        self.libc.umount2(self.target.encode(), 1)  # MNT_FORCE: what hangs is let go
        self.libc.umount2(self.target.encode(), 2)  # MNT_DETACH
        os.close(self.device)

    def answer(self):
        request = os.read(self.device, MAX_WRITE + 4096)
        _, opcode, unique, number, *_ = REQUEST.unpack_from(request)
        if opcode in FORGETS:
            return
        error, body = 0, b""
        try:
            name = OPERATIONS.get(opcode)
            if name is None:
                raise Failure(errno.ENOSYS)
            body = getattr(self.disk, name)(self.disk.nodes.get(number), memoryview(request)[40:].tobytes())
        except Failure as failure:
            error = -failure.code
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
        except OSError as failure:
            if failure.errno != errno.ENOENT:  # interrupted since
                raise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mount")
    parser.add_argument("state")
    parser.add_argument("--ignore-syncs", choices=["files", "folders"])
    arguments = parser.parse_args()
    disk = Disk(arguments.state, arguments.ignore_syncs)
    mount = Mount(arguments.mount, disk)
    print("ready", flush=True)
    waiting = [sys.stdin.fileno(), mount.device]
    try:
        while True:
            ready, _, _ = select.select(waiting, [], [])
            if waiting[0] in ready:
                command, _, text = sys.stdin.readline().strip().partition(" ")
                if command == "cut":
                    waiting = waiting[:1]
                    disk.save(arguments.state, text)
                elif command == "fail-sync":
                    disk.failing_sync = disk.syncs + int(text)
                elif command in ("end", ""):
                    break
                print(disk.syncs if command == "syncs" else command, flush=True)
            elif mount.device in ready:
                mount.answer()
    finally:
        mount.unmount()
    print("end", flush=True)


if __name__ == "__main__":
    main()
