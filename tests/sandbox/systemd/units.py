#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random unit files against the filters that a real systemd makes of them.

units.py FILTER_TAP COMPARE_FILTERS [--units=N] [--seed=N] [--root=FOLDER] [--keep=FOLDER]

A systemd is booted as the first process of fresh namespaces, over a throw-away overlay of the root file system FOLDER
(this one). It starts all units; filter-tap reads their filters from the kernel, compare-filters compares them with ours.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ['etc/systemd/system', 'run/systemd/system', 'usr/local/lib/systemd/system', 'usr/lib/systemd/system']
DEADLINE = 120 * int(os.environ.get('AIT_SLOWER', '1'))


class Skip(Exception):
    pass


# ---- random units ----------------------------------------------------------------------------------------------------
GROUPS = ('@aio @basic-io @chown @clock @cpu-emulation @debug @default @file-system @io-event @ipc @keyring @known '
          '@memlock @module @mount @network-io @obsolete @pkey @privileged @process @raw-io @reboot @resources @sandbox '
          '@setuid @signal @swap @sync @system-service @timer').split()
GROUPS_OF_ALL = [group for group in GROUPS if group != '@sandbox']  # systemd 252 does not know it
# Names of other architectures, newer ones and old ones among them.
CALLS = ('read write openat open close mount umount umount2 ptrace execve exit exit_group chmod fchmodat fchmodat2 '
         'mmap mmap2 mprotect clone clone3 unshare setns socket socketpair bind ioctl prctl personality seccomp bpf '
         'keyctl add_key reboot kexec_load swapon clock_settime settimeofday stime adjtimex syslog sethostname '
         'sched_setscheduler setrlimit prlimit64 init_module delete_module waitpid socketcall _llseek quotactl '
         'quotactl_fd futex_waitv mseal statmount io_uring_setup pidfd_getfd landlock_create_ruleset uselib '
         'get_mempolicy set_mempolicy move_pages mbind exit_group rt_sigreturn getpid brk arch_prctl').split()
UNKNOWN = ['nosuchcall', '@nosuchgroup', 'reed', 'READ', '@Mount', '@', '~', '~read', 'read,write', '"read"', "'write'",
           're\\ad', 'mo\\\\unt', '\\@mount', '%n', '%%', '42', '-1', 'read=write', 'é', '[mount]', '#mount', ';read']
ERRORS = ['EPERM', 'EACCES', 'kill', 'ENOSYS', 'ENOENT', 'EWOULDBLOCK', 'EDEADLOCK', 'ENOTSUP', 'EOPNOTSUPP', '1', '13',
          '4095']
ODD_ERRORS = ['0', '4096', '-1', '', 'EFOO', 'eperm', 'KILL', 'log', 'allow', '0x1', '010', '0b11', '0o17', '+5', '1 ',
              ' 1', '1x', '08', '0x', 'EPERM:EACCES', 'ERESTARTSYS', '133', '512', '99999999999999999999', 'trap']


SWITCHES = ['LockPersonality', 'MemoryDenyWriteExecute', 'ProtectClock', 'ProtectHostname', 'ProtectKernelLogs',
            'ProtectKernelModules', 'ProtectKernelTunables', 'PrivateDevices', 'RestrictRealtime', 'RestrictSUIDSGID']
BOOLEANS = ['yes', 'no', 'true', 'False', 'ON', 'off', '1', '0', 't', 'n', '', 'yess', 'yes no']
NAMESPACES = ['cgroup', 'ipc', 'net', 'mnt', 'pid', 'user', 'uts'] * 2 + ['time', 'NET', 'mount', 'yes', '"net"', 'ne\\t']
FAMILIES = ['AF_UNIX', 'AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_PACKET', 'AF_LOCAL', 'AF_FILE', 'AF_ROUTE', 'AF_VSOCK',
            'AF_XDP', 'AF_MCTP', 'AF_UNSPEC', 'AF_MAX', 'af_inet', 'AF_NOSUCH', '"AF_INET"', "'AF_UNIX", 'AF\\_UNIX', '2',
            'none', 'PF_INET', 'AF_KEY', 'AF_ALG', 'AF_QIPCRTR']


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, p):
        return self.random.random() < p

    def any(self, items):
        return self.random.choice(items)

    def word(self):
        r = self.random.random()
        return self.any(GROUPS_OF_ALL) if r < 0.35 else self.any(UNKNOWN) if r < 0.42 else self.any(CALLS)

    def error(self):
        return self.any(ODD_ERRORS) if self.chance(0.25) else self.any(ERRORS)

    def space(self):
        return self.any([' ', ' ', ' ', ' ', '  ', '\t', ' \\\n', '\\\n', ' \\\n# a comment\n', '\\\n; read\n  ', '\\\n\\\n',
                         ' \\\n \t', ' \\\\ ', '\\\n#\\\n']) if self.chance(0.15) else ' '

    def words(self):
        text = ''
        for i in range(self.any([0, 1, 1, 1, 2, 3, 6])):
            word = self.word()
            if self.chance(0.25):
                word += ':' + self.error()
            text += (self.space() if i else '') + word
        return text

    def lists(self):
        if self.chance(0.12):
            return self.any(['', '', ' ', '\\\n', '~', '~ ', '\\\n\\\n'])
        return ('~' if self.chance(0.5) else '') + self.any(['', '', '', ' ', '\\\n']) + self.words()

    def assignment(self, key, value):
        text = key + self.any(['=', '=', '=', '=', ' = ', '= ', '\t=', ' \\\n= ', '=\\\n']) + value
        return self.any(['', '', '', '', ' ', '\t']) + text + self.any(['', '', '', '', '', ' ', '\t', '\\', '\r'])

    def line(self):
        r = self.random.random()
        if r < 0.62:
            return self.assignment('SystemCallFilter', self.lists())
        if r < 0.78:
            return self.assignment('SystemCallErrorNumber', self.any(['', 'kill', 'EPERM EACCES', self.error(), self.error()]))
        if r < 0.82:
            return self.assignment('SystemCallArchitectures', self.any(['native', '', 'native x86', 'x86-64', 'native']))
        if r < 0.86:
            return self.any(['# SystemCallFilter=~read', ';SystemCallFilter=read \\', '#\\', '', '  ', 'SystemCallFilter',
                             '=read', 'systemcallfilter=mount', 'SystemCallFilter~=mount', 'Description=read \\',
                             'SystemCallFilters=read', 'X-SystemCallFilter=read', 'SystemCallFilter =', '\\'])
        if r < 0.90:
            return self.section()
        if r < 0.91:
            return self.any(['Nice=0', 'UMask=022', 'NoNewPrivileges=yes', 'RestartSec=3'])
        return self.setting()

    def setting(self):
        """One that makes a filter of its own."""
        r = self.random.random()
        if r < 0.5:
            if self.chance(0.1):
                # With anything else, it is an error for the whole unit.
                return self.any(['DynamicUser=yes', 'DynamicUser=no'])
            return self.assignment(self.any(SWITCHES), self.any(BOOLEANS if self.chance(0.5) else ['yes']))
        if r < 0.65:
            return self.assignment('SystemCallLog', self.lists())
        if r < 0.8:
            words = self.some(NAMESPACES)
            return self.assignment('RestrictNamespaces', words if self.chance(0.6) else self.any(BOOLEANS))
        return self.assignment('RestrictAddressFamilies', self.some(FAMILIES) if self.chance(0.9) else self.any(['none', '']))

    def some(self, words):
        chosen = [self.any(words) for _ in range(self.any([0, 1, 1, 2, 3, 4]))]
        return self.any(['', '', '~']) + self.space().join(chosen)

    def section(self):
        return self.any(['[Unit]', '[X-Old]', '[Service]', '[Service]', '[Service] ', ' [Service]', '[Socket]', '[Install]',
                         '[Nonsense]', '[Service\\\n]', '[Mount]'])

    def fragment(self, lines):
        return ''.join(self.line() + self.any(['\n', '\n', '\n', '\n', '\n', '\r\n']) for _ in range(self.any(lines)))


FIRST = '''[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/true
LimitCORE=0
[Service]
'''


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8', newline='') as f:
        f.write(text)


def write_some(draw, path):
    if draw.chance(0.15):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink('/dev/null', path)
    elif draw.chance(0.05):
        write(path, '')
    else:
        write(path, ('[Service]\n' if draw.chance(0.9) else '') + draw.fragment([0, 1, 1, 2]))


def dropins(draw, units, names):
    """Some files in some of the folders that systemd reads for the names, the same ones in several."""
    for folder in FOLDERS:
        for name in names:
            for file in ['10-a.conf', '20-b.conf', '10-a.conf.bak', '.30.conf', '9.conf']:
                if draw.chance(0.3 / len(names) + 0.05):
                    write_some(draw, os.path.join(units, folder, name + '.d', file))


# A kind of unit's name, and the names in whose folders drop-ins may lie.
KINDS = [('test-%s.service', ['test-%s.service']),
         ('test-%s-b-c.service', ['test-%s-b-c.service', 'test-%s-b-.service', 'test-%s-.service']),
         ('test-%s-b@i-j.service', ['test-%s-b@i-j.service', 'test-%s-b@.service', 'test-%s-@i-j.service',
                                    'test-%s-@.service', 'test-%s-.service']),
         ('test-%s-.service', ['test-%s-.service', 'test-%s.service'])]


def write_unit(draw, units, number):
    kind, others = draw.any(KINDS)
    name = kind % number
    path = os.path.join(units, draw.any(['etc', 'etc', 'usr/lib']), 'systemd/system', name)
    text = FIRST + draw.fragment([1, 1, 2, 3, 4, 6])
    if '@' in name:
        template = name.replace('i-j', '')
        write(os.path.join(os.path.dirname(path), template), text)
        os.symlink(template, path)
    else:
        write(path, text)
    if draw.chance(0.4):
        dropins(draw, units, [other % number for other in others])
    return name


def write_units(units, n, seed):
    """All files below units; returns the names."""
    probes = {'probe-%s.service' % group[1:]: 'SystemCallFilter=~%s\n' % group for group in GROUPS}
    probes.update(('probe-allow-%s.service' % group[1:], 'SystemCallFilter=%s\n' % group) for group in GROUPS)
    probes['probe-names.service'] = 'SystemCallFilter=~%s\n' % ' '.join(CALLS)
    probes['probe-memory.service'] = 'MemoryDenyWriteExecute=yes\n'
    names = list(probes)
    draw = Draw(seed)
    for name in names:
        path = os.path.join(units, FOLDERS[0], name)
        write(path, FIRST + 'SystemCallErrorNumber=EPERM\n' + probes[name])
        # from what all units have
        for file in ('10-a.conf', '20-b.conf', '9.conf'):
            write(os.path.join(path + '.d', file), '')
    if draw.chance(0.5):
        dropins(draw, units, ['service'])
    names += [write_unit(Draw('%d/%d' % (seed, number)), units, '%05d' % number) for number in range(n)]
    write(os.path.join(units, FOLDERS[0], 'idle.target'), '[Unit]\nDefaultDependencies=no\n')
    write(os.path.join(units, FOLDERS[0], 'all.target'),
          '[Unit]\nDefaultDependencies=no\n' + ''.join('Wants=%s\n' % name for name in names))
    return names


# ---- a systemd -------------------------------------------------------------------------------------------------------
def wait_for(what, condition):
    until = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError('%s: not within %d s' % (what, DEADLINE))
        time.sleep(0.02)


class Systemd:
    """Booted, and gone with all its processes and mounts when the block ends."""

    def __init__(self, root, units, folder):
        self.console = os.path.join(folder, 'console')
        self.ready = os.path.join(folder, 'ready')
        with open(self.console, 'wb') as console:
            self.outer = subprocess.Popen(
                ['unshare', '--fork', '--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup', '--propagation', 'private',
                 '--kill-child=KILL', os.path.join(HERE, 'boot.sh'), root, units, self.ready],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd='/')
        self.init = 0

    def __enter__(self):
        try:
            wait_for('boot', self.is_up)
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.outer.kill()
        self.outer.wait()

    def is_up(self):
        if self.outer.poll() is not None:
            with open(self.console, encoding='utf-8', errors='replace') as f:
                said = f.read().strip().rpartition('\n')[2]
            raise (RuntimeError if os.path.exists(self.ready) else Skip)('systemd does not boot: %s' % said)
        with open('/proc/%d/task/%d/children' % (self.outer.pid, self.outer.pid), encoding='ascii') as f:
            self.init = int((f.read().split() or ['0'])[0])
        return self.init and self.run('systemctl', 'is-active', 'idle.target').stdout.strip() == 'active'

    def run(self, *command):
        return subprocess.run(['nsenter', '-t', str(self.init), '--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup',
                               '--root', '--wdns=/', *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def collect(systemd, tap, names, filters):
    def done():
        return len(set(os.listdir(filters)) & set(names))

    with subprocess.Popen([tap, str(systemd.init), filters], stdout=subprocess.PIPE, text=True) as tracer:
        if tracer.stdout.readline() != 'ready\n':
            raise Skip('no process can be traced here')
        start = systemd.run('systemctl', 'start', '--no-block', 'all.target')
        if start.returncode != 0:
            raise RuntimeError(start.stderr)
        try:
            seen = 0
            while seen < len(names):
                wait_for('the end of another unit', lambda: done() > seen or tracer.poll() is not None)
                if tracer.poll() is not None:
                    raise RuntimeError('the tracer has ended')
                seen = done()
        except TimeoutError as e:
            missing = sorted(set(names) - set(os.listdir(filters)))
            raise TimeoutError('%s: not seen: %s' % (e, ' '.join(missing[:20]))) from e
        finally:
            tracer.terminate()


def check_system(root):
    if os.geteuid() != 0:
        raise Skip('needs root')
    if not os.path.exists(os.path.join(root, 'lib/systemd/systemd')):
        raise Skip('there is no systemd')
    for tool in ('unshare', 'nsenter'):
        if not shutil.which(tool):
            raise Skip('there is no %s' % tool)
    probe = subprocess.run(['unshare', '--fork', '--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup',
                            '--propagation', 'private', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'],
                           capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skip('no namespaces can be made: %s' % probe.stderr.strip())
    with open('/proc/self/status', encoding='ascii') as f:
        if 'Seccomp:\t0' not in f.read():
            raise Skip('filters cannot be read by a process that has one')


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('tap')
    parser.add_argument('compare')
    parser.add_argument('--units', type=int, default=int(os.environ.get('AIT_RANDOM_UNITS', '100')))
    parser.add_argument('--seed', type=int, default=int(os.environ.get('AIT_SEED', '0')) or time.time_ns() % 1000000)
    parser.add_argument('--root', default='/')
    parser.add_argument('--keep')
    options = parser.parse_args()
    try:
        check_system(options.root)
        with tempfile.TemporaryDirectory(prefix='units.', dir='/var/tmp') as folder:
            units, filters = os.path.join(folder, 'units'), os.path.join(folder, 'filters')
            os.mkdir(filters)
            print('seed %d' % options.seed)
            names = write_units(units, options.units, options.seed)
            with Systemd(options.root, units, folder) as systemd:
                print(systemd.run('systemctl', '--version').stdout.split('\n')[0])
                collect(systemd, options.tap, names, filters)
            sys.stdout.flush()
            if options.keep:
                shutil.copytree(folder, options.keep, symlinks=True)
            return subprocess.run([options.compare, units, filters], check=False).returncode
    except Skip as e:
        print('SKIP: %s' % e)
        return 77
    except (RuntimeError, TimeoutError) as e:
        print(e)
        return 1


if __name__ == '__main__':
    sys.exit(main())
