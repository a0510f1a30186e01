import Tasks
import Testing

/// A program that tries to get out of the sandbox, or to use up the machine; and what must come of it.
struct SandboxAbuse: Sendable, CustomTestStringConvertible {
    enum Outcome: Sendable {
        /// Everything tried was refused: it printed "held", and never "ESCAPED".
        case held
        /// The sandbox stopped it, for one of these reasons.
        case stopped([SandboxResult.Reason])
        /// It ended, within its limits, however it ended.
        case ended
    }

    var name: String
    var outcome: Outcome
    var source: String
    var testDescription: String { name }

    init(_ name: String, _ outcome: Outcome, _ source: String) {
        (self.name, self.outcome, self.source) = (name, outcome, source)
    }

    /// Before every source. `argv`: a marker, a secret file, a folder of ours, a socket's path, an abstract socket's name, a TCP port, a secret text.
    static let prelude = """
        import ctypes, os, platform, signal, socket, sys, threading, time
        _, marker, secret_file, our_folder, socket_path, abstract_name, port, secret = sys.argv
        libc = ctypes.CDLL(None, use_errno=True)
        x86 = platform.machine() == "x86_64"
        def attempt(action):
            try:
                result = action()
            except (Exception, SystemExit) as error:
                print("held:", type(error).__name__, error, flush=True)
            else:
                print("ESCAPED:", result, flush=True)
        def call(name, *arguments):
            attempt(lambda: checked(getattr(libc, name)(*arguments)))
        def system(x86_number, arm_number, *arguments):
            attempt(lambda: checked(libc.syscall(x86_number if x86 else arm_number, *arguments)))
        def checked(result):
            if result == -1:
                raise OSError(ctypes.get_errno(), "refused")
            return result
        def absent(found):
            print("ESCAPED" if found else "held", found, flush=True)

        """

    static let all = network + files + processes + kernel + resources

    static let network: [SandboxAbuse] = [
        .init("TCP to this machine", .held, "attempt(lambda: socket.create_connection(('127.0.0.1', int(port)), 1))"),
        .init("TCP to the world", .held, "attempt(lambda: socket.create_connection(('1.1.1.1', 53), 1))"),
        .init("UDP", .held, "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(port))))"),
        .init("IPv6", .held, "attempt(lambda: socket.create_connection(('::1', int(port)), 1))"),
        .init("DNS", .held, "attempt(lambda: socket.getaddrinfo('example.com', 80))"),
        .init("raw and netlink sockets", .held, "for f, t in ((17, 3), (16, 3), (38, 5)): attempt(lambda: socket.socket(f, t))"),
        .init("a virtual machine's host", .held, "attempt(lambda: socket.socket(40, socket.SOCK_STREAM))"),
        .init("this machine's unix sockets", .held, "attempt(lambda: socket.socket(socket.AF_UNIX).connect(socket_path))"),
        .init("abstract sockets", .held, "attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + abstract_name))"),
    ]

    static let files: [SandboxAbuse] = [
        .init("the home folder", .held, "attempt(lambda: open(secret_file).read())\nfor p in ('/root', '/home'): attempt(lambda: os.listdir(p))"),
        .init("passwords", .held, "for p in ('/etc/shadow', '/etc/passwd', '/etc/hosts'): attempt(lambda: open(p).read())"),
        .init("secrets of the environment", .held, "absent([v for v in os.environ.values() if secret in v])"),
        .init("the project's folder", .held, "attempt(lambda: os.listdir(our_folder))"),
        .init("writing outside", .held, """
            for d in ('/', '/usr', '/bin', '/etc', '/dev', '/dev/shm', '/var', '/home'): attempt(lambda: open(d + '/x', 'w').write('x'))
            """),
        .init("symbolic links", .held, """
            os.symlink(secret_file, '/tmp/link'); attempt(lambda: open('/tmp/link').read())
            os.symlink('/usr/bin/x', '/tmp/link2'); attempt(lambda: open('/tmp/link2', 'w'))
            os.symlink('../../../..' + secret_file, '/tmp/link3'); attempt(lambda: open('/tmp/link3').read())
            """),
        .init("hard links", .held, "attempt(lambda: os.link('/usr/bin/env', '/tmp/env')); attempt(lambda: os.link('/tmp', '/usr/x'))"),
        .init("changing the system's files", .held, """
            attempt(lambda: os.chmod('/usr/bin/env', 0o777))
            attempt(lambda: os.unlink('/usr/bin/env'))
            attempt(lambda: os.rename('/usr', '/tmp/usr'))
            """),
        .init("devices", .held, """
            for n in (1, 8): attempt(lambda: os.mknod('/tmp/d%d' % n, 0o20666 if n == 1 else 0o60666, os.makedev(n, 1 if n == 1 else 0)))
            for d in ('mem', 'kmsg', 'sda', 'vda', 'kvm', 'fuse'): attempt(lambda: open('/dev/' + d))
            """),
        .init("inherited descriptors", .held, """
            def is_open(n):
                try: os.fstat(n); return True
                except OSError: return False
            absent([n for n in range(3, 4096) if is_open(n)])
            """),
        .init("writing to standard input's file", .held, "attempt(lambda: os.write(0, b'x')); attempt(lambda: open('/dev/stdin', 'w'))"),
    ]

    static let processes: [SandboxAbuse] = [
        .init("/proc", .held, """
            for p in ('/proc/1/mem', '/proc/self/exe', '/proc/sysrq-trigger', '/proc/1/root/etc/shadow', '/sys/kernel'): attempt(lambda: os.stat(p))
            """),
        .init("signals to everyone", .ended, "os.kill(-1, signal.SIGKILL)\nos.kill(-1, signal.SIGTERM)\ntime.sleep(0.1)"),
        .init("signals to the parent", .ended, """
            for s in (signal.SIGKILL, signal.SIGSTOP): os.kill(os.getppid(), s)
            os.kill(1, signal.SIGKILL)
            os.killpg(0, signal.SIGTERM)
            """),
        .init("stopping itself", .stopped([.wallTime]), "os.kill(os.getpid(), signal.SIGSTOP)"),
        .init("processes of this machine", .held, "for p in range(50, 4000): attempt(lambda: os.kill(p, 0))"),
        .init("ptrace", .held, "call('ptrace', 16, os.getppid(), 0, 0); call('ptrace', 0, 0, 0, 0)"),
        .init("another process's memory", .held, "call('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0); system(438, 438, 0, 0, 0)"),
        .init("zombies", .ended, "for _ in range(10):\n    if os.fork() == 0: os._exit(0)\ntime.sleep(0.1)"),
        .init("daemons", .ended, """
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for s in range(1, 32):
                        try: signal.signal(s, signal.SIG_IGN)
                        except OSError: pass
                    for n in range(3): os.close(n)
                    while True: time.sleep(1)
                os._exit(0)
            os.wait()
            """),
        .init("ignoring signals", .stopped([.wallTime]), """
            for s in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(s, signal.SIG_IGN)
            while True: time.sleep(1)
            """),
        .init("other programs", .held, """
            import subprocess
            result = subprocess.run(['/bin/sh', '-c', 'id -u; cat ' + secret_file + '; su -c id; echo $HOME'], capture_output=True, text=True)
            absent(secret in result.stdout or 'uid=0' in result.stdout or result.stdout.startswith('0'))
            """),
    ]

    static let kernel: [SandboxAbuse] = [
        .init("mounts", .held, """
            call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)
            call('mount', b'none', b'/', b'', 32, 0)
            call('umount2', b'/usr', 2)
            system(428, 428, -100, b'/', 1)
            """),
        .init("chroot", .held, "attempt(lambda: os.chroot('/tmp'))"),
        .init("other users", .held, """
            for u in (0, 1000): attempt(lambda: os.setuid(u))
            attempt(lambda: os.setgid(u))
            attempt(lambda: os.setgroups([u]))
            """),
        .init("new namespaces", .held, """
            for f in (0x10000000, 0x20000, 0x40000000, 0x20000000): call('unshare', f)
            system(56, 220, 0x10000011, 0, 0, 0, 0)
            system(435, 435, 0, 0)
            """),
        .init("setting the clock", .held, "attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, 0)); system(164, 170, 0, 0); system(159, 171, 0)"),
        .init("modules", .held, "system(175, 105, 0, 0, b''); system(313, 273, 0, b'', 0); system(246, 104, 0, 0, 0, 0)"),
        .init("the keyring", .held, "system(248, 217, b'user', b'x', b'y', 1, -3); system(250, 219, 0, -3, 0)"),
        .init("typing into the terminal", .held, """
            import fcntl, termios
            for n in range(3): attempt(lambda: fcntl.ioctl(n, termios.TIOCSTI, b'x'))
            attempt(lambda: open('/dev/tty'))
            """),
        .init("io_uring, bpf, perf, userfaultfd", .held, """
            system(425, 425, 1, 0)
            system(321, 280, 0, 0, 0)
            system(298, 241, 0, 0, -1, -1, 0)
            system(323, 282, 1)
            """),
        .init("memory that no limit counts", .held, """
            attempt(lambda: os.memfd_create('x'))
            system(29, 194, 0, 1 << 20, 0o1600)
            system(64, 190, 0, 32000, 0o1600)
            system(240, 180, b'x', 66, 0o600, 0)
            """),
        .init("raising its limits", .held, """
            import resource
            for r in (resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE): attempt(lambda: resource.setrlimit(r, (resource.RLIM_INFINITY,) * 2))
            """),
        .init("the machine's name", .held, """
            attempt(lambda: socket.sethostname('x'))
            absent(socket.gethostname() != 'sandbox')
            system(169, 142, 0, 0, 0, 0)
            """),
    ]

    static let resources: [SandboxAbuse] = [
        .init("a fork bomb", .stopped([.wallTime, .memory, .cpuTime]), "while True:\n    try: os.fork()\n    except OSError: pass"),
        .init("counted processes", .held, """
            count = 0
            try:
                while count < 200:
                    if os.fork() == 0: time.sleep(5); os._exit(0)
                    count += 1
            except OSError: pass
            absent(count >= 16)
            """),
        .init("threads", .held, """
            def make():
                for n in range(200): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
            attempt(make)
            os._exit(0)
            """),
        .init("memory of one process", .held, """
            attempt(lambda: len(bytearray(1 << 40)))
            attempt(lambda: [bytearray(1 << 24) for _ in range(1000)].clear())
            """),
        .init("memory of many processes", .stopped([.memory]), """
            for _ in range(6):
                if os.fork() == 0: break
            held = bytearray(b'x') * (90 << 20)
            time.sleep(60)
            """),
        .init("endless output", .stopped([.outputCap]), "while True: os.write(1, b'x' * 65536)"),
        .init("endless errors", .stopped([.outputCap]), "while True: os.write(2, b'x' * 65536)"),
        .init("huge output at its death", .stopped([.outputCap]), "import atexit\natexit.register(lambda: os.write(1, b'x' * (1 << 27)))"),
        .init("an endless loop", .stopped([.cpuTime, .wallTime]), "while True: pass"),
        .init("sleeping", .stopped([.wallTime]), "time.sleep(1000)"),
        .init("reading input forever", .ended, "while sys.stdin.buffer.read(1): pass\nprint('end of input')"),
        .init("a pipe nobody writes to", .stopped([.wallTime]), "os.read(os.pipe()[0], 1)"),
        .init("a file of 10 GB", .held, """
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            def fill():
                with open('/tmp/x', 'wb', 0) as f:
                    for _ in range(10240):
                        if f.write(b'x' * (1 << 20)) < 1 << 20: raise OSError('cut')
            attempt(fill)
            """),
        .init("a sparse file", .held, "attempt(lambda: os.truncate(os.open('/tmp/x', os.O_CREAT | os.O_RDWR), 10 << 30))"),
        .init("filling /tmp", .held, "def fill():\n    for n in range(100): open('/tmp/%d' % n, 'wb').write(b'x' * (1 << 19))\nattempt(fill)"),
        .init("many files", .stopped([.wallTime, .cpuTime]), "n = 0\nwhile True:\n    os.close(os.open('/tmp/%d' % n, os.O_CREAT)); n += 1"),
        .init("all descriptors", .held, "attempt(lambda: [os.open('/dev/null', 0) for _ in range(100000)])"),
        .init("deep folders", .ended, "for n in range(20000): os.mkdir('d'); os.chdir('d')"),
    ]
}
