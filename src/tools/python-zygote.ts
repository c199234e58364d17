/** Calls that a supervisor takes at once: a byte numbers them, and each holds three of its descriptors. */
export const MAX_CALLS = 256;

/**
 * The Python side of the sandbox, passed to the interpreter with `-c` so that the sandbox needs no file of ours.
 *
 * Two processes live as long as the sandbox. The supervisor speaks with Node (frames on stdin and stdout), hands
 * out pipes, watches limits. The template never does anything but fork: each call's process is a copy of it, so its
 * addresses (which `print(f)` shows) depend on the code alone, not on what ran before. `CLONE_PARENT` makes a call's
 * process the supervisor's child; `CLONE_NEWPID` makes it process 1 of its own PID namespace, where it can neither see
 * nor signal anything, and which the kernel empties when it ends.
 *
 * Request: u32 bytes that follow, u32 id, u32 wall limit in ms, UTF-8 code. A supervisor that is up sends one frame with id 0.
 * Response: u32 bytes that follow, u32 id, i32 exit code, u8 limit (index into LIMITS), u32 bytes of stdout, stdout, stderr.
 */
export const PYTHON_ZYGOTE = String.raw`
import _signal, atexit, contextlib, ctypes, gc, io, json, linecache, mmap, os, resource, select, signal, socket, struct, sys, time, traceback, types
import collections, datetime, decimal, fractions, functools, itertools, math, random, re  # what programs import: loaded once

config = json.loads(sys.argv[1])
libc = ctypes.PyDLL(None, use_errno=True)
NONE, TIME, CPU, MEMORY, OUTPUT = range(5)
CLONE_PARENT_SETTID = 0x100000  # puts the new process's id into the parent's memory
# numbers of clone and unshare, audit architecture
SYS_CLONE, SYS_UNSHARE, ARCHITECTURE = {
    "x86_64": (56, 272, 0xC000003E), "aarch64": (220, 97, 0xC00000B7), "riscv64": (220, 97, 0xC00000F3),
}[os.uname().machine]
MAX_CALLS = ${MAX_CALLS}
flags = mmap.mmap(-1, MAX_CALLS)  # shared; a call sets its byte when it ran out of memory


def check(result, what):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, what + ": " + os.strerror(error))
    return result


def mount(source, target, kind, options, data=None):
    encode = lambda text: None if text is None else text.encode()
    check(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(options), encode(data)), "mount " + target)


def enter_root(paths):
    """Makes a read-only root that holds these paths and nothing else."""
    rdonly, nosuid, nodev, remount, bind, rec, private = 1, 2, 4, 32, 4096, 16384, 1 << 18
    mount("none", "/", None, rec | private)
    root = "/proc"  # exists everywhere, and no path to bind lies below it
    mount("none", root, "tmpfs", nosuid | nodev, "mode=755")
    for path in paths:
        target = root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
            continue
        os.mkdir(target) if os.path.isdir(path) else os.close(os.open(target, os.O_CREAT))
        mount(path, target, None, bind | rec)
        mount("none", target, None, remount | bind | rdonly | nosuid | nodev)
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "pivot_root")
    check(libc.umount2(b".", 2), "umount")
    mount("none", "/", None, remount | bind | rdonly | nosuid | nodev)
    os.chdir("/")


# ---- the process of one call ----

def drop_privileges(prepared):
    if config["uid"] is not None:
        os.setgroups([])
        os.setresgid(config["uid"], config["uid"], config["uid"])
        os.setresuid(config["uid"], config["uid"], config["uid"])
    header, no_capabilities, filter = prepared
    check(libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    check(libc.capset(header, no_capabilities), "capset")
    check(libc.prctl(22, 2, filter), "seccomp")


def prepare_privileges():
    """Arguments of capset and of a seccomp filter: in a user namespace of its own a program would have every
    capability again."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    refuse, allow = 0x00050001, 0x7FFF0000  # EPERM
    program = [
        (load, 0, 0, 4), (equal, 1, 0, ARCHITECTURE), (answer, 0, 0, refuse),
        (load, 0, 0, 0), (equal, 0, 1, SYS_UNSHARE), (answer, 0, 0, refuse),
        (at_least, 0, 1, 0x40000000), (answer, 0, 0, refuse),  # x32's numbers for the same calls
        (answer, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filter = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    filter.code = code  # kept alive
    return (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(), filter


LIMITS = [(getattr(resource, "RLIMIT_" + name), (value, value)) for name, value in (
    ("AS", config["memory_bytes"]), ("FSIZE", 0), ("NPROC", 0), ("NOFILE", 64), ("CORE", 0))]
# SIGXCPU first: unlike the SIGKILL of the hard limit, for programs that ignore it, it says what ended the call.
LIMITS.append((resource.RLIMIT_CPU, (config["cpu_seconds"], config["cpu_seconds"] + 1)))


def exit_at_cpu_limit():
    """SIGXCPU ends process 1 of a PID namespace only where it has a handler, and one in Python would wait for the end of
    a long call. Here it is _exit itself, which takes the signal's number for the status."""
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGXCPU, ctypes.cast(libc._exit, ctypes.c_void_p))


def limit_resources():
    for limit, value in LIMITS:
        resource.setrlimit(limit, value)


def run_code(source):
    text = source.decode()
    linecache.cache["<code>"] = (len(text), None, text.splitlines(True), "<code>")  # tracebacks show the line
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = ["<code>"]
    exec(compile(text, "<code>", "exec", dont_inherit=True), main.__dict__)


def exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 255
    print(code, file=sys.stderr)
    return 1


def run_call(slot, code, out, err, stdin, prepared):
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # without isolation, nothing else ends it with the supervisor
    source = os.pread(code, os.fstat(code).st_size, 0)
    os.setsid()
    os.dup2(stdin, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 1024)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)  # signal's own wrapper makes enums
    limit_resources()
    drop_privileges(prepared)
    random.seed(0)  # unseeded programs repeat too; after the fork, which seeds anew
    gc.enable()
    status = 1
    try:
        try:
            run_code(source)
            status = 0
        except SystemExit as end:
            status = exit_status(end.code)
        except BaseException as error:
            flags[slot] = isinstance(error, MemoryError)
            frames = error.__traceback__.tb_next  # without this file's frames
            traceback.print_exception(type(error), error, frames and frames.tb_next)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


# ---- the template ----

def warm_up():
    """Has the interpreter set up what it sets up at first use, so that not every call's copy does."""
    for program in ("a = 3\nfor i in range(3):\n    a += i * 0.5\nprint(f'{a:.2f}')", "print(1 / 0)"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                exec(compile(program, "<code>", "exec", dont_inherit=True), {})
            except ZeroDivisionError:
                traceback.print_exc()


def template(control):
    """Forks at each message, which brings a slot and the descriptors of code, stdout and stderr.

    The loop works in place on buffers and pointers made before it, and passes small integers: an object that it made,
    or only freed in another order, would move the objects of later calls.
    """
    stdin, other_end = os.pipe()
    os.close(other_end)  # programs that read find the end
    slot, pid = ctypes.c_ubyte(), ctypes.c_int()
    rights = ctypes.create_string_buffer(socket.CMSG_SPACE(12))
    code, out, err = (ctypes.c_int.from_buffer(rights, socket.CMSG_LEN(0) + 4 * i) for i in range(3))
    segment = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(slot), 1), 16)
    msghdr = struct.pack("@PIPNPNi", 0, 0, ctypes.addressof(segment), 1, ctypes.addressof(rights), len(rights), 0)
    header = ctypes.create_string_buffer(msghdr, 56)
    socket_fd, pid_pointer, header_pointer = control.fileno(), ctypes.byref(pid), ctypes.byref(header)
    clone_flags = config["clone_flags"] | CLONE_PARENT_SETTID | signal.SIGCHLD
    before_fork, in_child, in_parent = (getattr(ctypes.pythonapi, name) for name in (
        "PyOS_BeforeFork", "PyOS_AfterFork_Child", "PyOS_AfterFork_Parent"))
    recvmsg, syscall, close, write = libc.recvmsg, libc.syscall, libc.close, libc.send
    for function in (before_fork, in_child, in_parent, close, write):
        function.restype = None
    prepared = prepare_privileges()
    exit_at_cpu_limit()
    warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        header.raw = msghdr
        pid.value = -1
        if recvmsg(socket_fd, header_pointer, 0) != 1:
            os._exit(0)
        before_fork()
        if syscall(SYS_CLONE, clone_flags, 0, pid_pointer, 0, 0) == 0:
            in_child()
            run_call(slot.value, code.value, out.value, err.value, stdin, prepared)
        in_parent()
        close(code.value)
        close(out.value)
        close(err.value)
        write(socket_fd, pid_pointer, 4, 0)


# ---- the supervisor ----

class Call:
    def __init__(self, id, wall_ms, code):
        self.id, self.slot, self.limit = id, free_slots.pop(), NONE
        flags[self.slot] = 0
        source = os.memfd_create("code")
        os.write(source, code)
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        socket.send_fds(control, [bytes([self.slot])], [source, out_end, err_end])
        reply = control.recv(4)
        if len(reply) < 4:
            os._exit(1)  # no template, no calls: Node starts anew
        for descriptor in (source, out_end, err_end):
            os.close(descriptor)
        self.pid = struct.unpack("<i", reply)[0]
        if self.pid < 0:
            os._exit(1)
        self.pidfd = os.pidfd_open(self.pid)
        self.output = {out: bytearray(), err: bytearray()}
        self.out, self.err = out, err
        self.deadline = time.monotonic() + wall_ms / 1000
        for descriptor in (self.pidfd, out, err):
            poll.register(descriptor, select.POLLIN)
            owners[descriptor] = self
            os.set_blocking(descriptor, False)

    def end(self, limit):
        if self.limit == NONE:
            self.limit = limit
            os.kill(self.pid, signal.SIGKILL)

    def read(self, descriptor):
        """False at the end of the stream or where nothing is left for now."""
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if not data:
            poll.unregister(descriptor)
            del owners[descriptor]
            return False
        collected = self.output[descriptor]
        collected += data
        if len(collected) > config["output_bytes"]:
            del collected[config["output_bytes"]:]
            self.end(OUTPUT)
        return self.limit != OUTPUT

    def finish(self):
        # Until it is waited for, the process can be killed, which is what too much output does.
        for stream in (self.out, self.err):
            while stream in owners and self.read(stream):
                pass
        _, status, usage = os.wait4(self.pid, 0)
        self.judge(status, usage.ru_utime + usage.ru_stime)
        for descriptor in (self.pidfd, self.out, self.err):
            if owners.pop(descriptor, None):
                poll.unregister(descriptor)
            os.close(descriptor)
        free_slots.append(self.slot)

    def judge(self, status, cpu_seconds):
        code = os.waitstatus_to_exitcode(status)
        killed = self.limit == NONE and code == -signal.SIGKILL  # by the hard limit, or for want of memory
        # A program may end with that status of its own, early. The limit counts whole ticks of the clock, which on a busy
        # machine may be twice the time that was used.
        long = cpu_seconds > config["cpu_seconds"] / 2
        if self.limit == NONE and long and (killed or code == signal.SIGXCPU):
            self.limit = CPU
        if self.limit == NONE and (killed or flags[self.slot]):
            self.limit = MEMORY
        out, err = self.output[self.out], self.output[self.err]
        if self.limit == OUTPUT:
            err = b"Killed: more than %d bytes of output\n" % config["output_bytes"]
            if len(out) < config["output_bytes"]:
                out = b""
        elif self.limit == TIME or self.limit == CPU:
            # how much was printed by then depends on the machine's load, and runs must repeat
            out = b""
            err = b"Killed: CPU time limit of %d s\n" % config["cpu_seconds"] if self.limit == CPU else b"Killed: time limit\n"
        elif killed:
            out, err = b"", b"Killed by the system, which may be short of memory\n"
        send(self.id, -1 if self.limit else (code if code >= 0 else 128 - code), self.limit, out, err)


def send(id, code, limit, out=b"", err=b""):
    data = memoryview(struct.pack("<IIiBI", 13 + len(out) + len(err), id, code, limit, len(out)) + out + err)
    while data:
        data = data[os.write(1, data):]


def read_requests(received):
    data = os.read(0, 1 << 16)
    if not data:
        os._exit(0)
    received += data
    while len(received) >= 4:
        size = struct.unpack_from("<I", received)[0]
        if len(received) < 4 + size:
            break
        id, wall_ms = struct.unpack_from("<II", received, 4)
        code = bytes(received[12:4 + size])
        del received[:4 + size]
        Call(id, wall_ms, code)


def supervise():
    received = bytearray()
    poll.register(0, select.POLLIN)
    send(0, 0, NONE)
    while True:
        now = time.monotonic()
        calls = set(owners.values())
        wait = min((call.deadline for call in calls if call.limit == NONE), default=None)
        for descriptor, _ in poll.poll(None if wait is None else max(0, math.ceil((wait - now) * 1000))):
            call = owners.get(descriptor)
            if descriptor == 0:
                read_requests(received)
            elif call and descriptor == call.pidfd:
                call.finish()
            elif call:
                call.read(descriptor)
        now = time.monotonic()
        for call in set(owners.values()):
            if call.deadline <= now:
                call.end(TIME)


signal.signal(signal.SIGINT, signal.SIG_IGN)
os.umask(0o77)
os.environ.clear()
sys.path[:] = [path for path in sys.path if path]
if config["root"] is not None:
    enter_root(config["root"])
control, template_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.fork() == 0:
    control.close()
    os.close(0)
    os.close(1)
    template(template_end)
template_end.close()
free_slots = list(range(MAX_CALLS))
owners = {}  # descriptor -> Call
poll = select.poll()
supervise()
`;

/** What ended a call, as the supervisor numbers it. */
export const LIMITS = [undefined, "time", "cpu", "memory", "output"] as const;
