#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that are built, where another user can run them.

    reachable.py PROGRAM [ARGUMENT...]

A build folder in root's home is out of reach for every other user. Tests that start something as another user need
copies of it elsewhere: this runs PROGRAM from such a copy, and is a module for tests in Python (program(), tree()).

Nothing is copied where the caller is not root, who alone can become another user, or where the file can be reached as
it is. Otherwise it is copied, with the shared libraries of its build folder, into a temporary directory with mode 0755.
The copies keep their place below the build folder, for the libraries are found by a path from the program's own. The
directory is removed when the test ends. Where no file system will do, the file stays what it was, and a test that needs
it elsewhere is skipped (can_reach() tells).
"""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile

NOBODY = 65534
_copies = {}  # build folder or tree: its copy


def _as_nobody(function):
    """Whether function() is true in a child that is nobody."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            status = 0 if function() else 1
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def can_reach(*paths):
    """Whether nobody may read and execute, or enter, all of these. Only root can tell."""
    return os.geteuid() != 0 or _as_nobody(lambda: all(os.access(p, os.R_OK | os.X_OK) for p in paths))


def places():
    """Directories that may hold the temporary one, best first: programs run from there, everybody may enter, and the path
    leaves room for names of sockets."""
    for path in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if len(path) <= 40 and os.path.isdir(path) and os.access(path, os.W_OK) and not os.statvfs(path).f_flag & os.ST_NOEXEC and \
                (os.geteuid() != 0 or _as_nobody(lambda p=path: os.access(p, os.X_OK))):
            yield path


def directory(prefix):
    """A temporary directory that everybody may enter, to be removed by the caller; in the usual place where none will do."""
    path = tempfile.mkdtemp(prefix=prefix, dir=next(places(), None))
    os.chmod(path, 0o755)
    return path


def _copy_of(folder):
    """The directory that stands for this folder, or None where there is no place for one."""
    if folder not in _copies:
        place = next(places(), None)
        if place is None:
            return None
        _copies[folder] = tempfile.mkdtemp(prefix="ait-reachable-", dir=place)
        os.chmod(_copies[folder], 0o755)
        atexit.register(shutil.rmtree, _copies[folder], ignore_errors=True)
    return _copies[folder]


def _copy(path, target):
    """With all directories on the way, whatever the umask is."""
    missing, parent = [], os.path.dirname(target)
    while not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for parent in reversed(missing):
        os.mkdir(parent)
        os.chmod(parent, 0o755)
    shutil.copyfile(path, target)
    os.chmod(target, 0o755)


def _build_folder(path):
    """The build folder that the file lies in, or its directory."""
    folder = os.path.dirname(path)
    while folder != "/":
        if os.path.isdir(os.path.join(folder, "meson-private")):
            return folder
        folder = os.path.dirname(folder)
    return os.path.dirname(path)


def _copy_libraries(folder, copy):
    for directory_, names, files in os.walk(os.path.join(folder, "lib")):
        names[:] = [n for n in names if not n.endswith(".p")]
        for name in files:
            if name.startswith("lib") and ".so" in name and not name.endswith(".symbols"):
                path = os.path.join(directory_, name)
                _copy(path, os.path.join(copy, os.path.relpath(path, folder)))


def program(path):
    """The path of a program, or of a copy that everybody can run."""
    path = os.path.abspath(path)
    if can_reach(path):
        return path
    folder = _build_folder(path)
    new = folder not in _copies
    copy = _copy_of(folder)
    if copy is None:
        return path
    if new:
        _copy_libraries(folder, copy)
    target = os.path.join(copy, os.path.relpath(path, folder))
    if not os.path.exists(target):
        _copy(path, target)
    return target


def tree(path):
    """The path of a directory, or of a copy that everybody can read."""
    path = os.path.abspath(path)
    if can_reach(path):
        return path
    copy = _copy_of(path)
    if copy is None:
        return path
    for directory_, _, files in os.walk(path):
        for name in files:
            file = os.path.join(directory_, name)
            _copy(file, os.path.join(copy, os.path.relpath(file, path)))
    return copy


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    path = program(sys.argv[1])
    if not _copies:
        os.execv(path, [path, *sys.argv[2:]])
    # it may be asked to end, and then the copies have to go
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with subprocess.Popen([path, *sys.argv[2:]]) as process:
        try:
            status = process.wait()
        except BaseException:
            process.kill()
            raise
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
