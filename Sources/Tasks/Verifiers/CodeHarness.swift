/// The Python program that judges a candidate inside the sandbox.
///
/// It is two processes, parted before either knows anything. The *candidate* runs the code and answers requests: call this function with these
/// values. The *judge* reads the token and the tests from standard input and runs the tests, in which the candidate's functions are stand-ins that send
/// their arguments over and get plain values back. So the code under test never shares an interpreter with the tests: it sees neither them nor the
/// values expected nor the token; exiting, patching builtins, walking frames or printing reach only its own process; and an object of its own
/// that claims to equal everything arrives as an opaque handle, equal to itself alone. The sandbox's filter and the lack of /proc keep one process
/// out of the other's memory and descriptors. Only the judge still holds standard output, and every line it writes there starts with the token.
enum CodeHarness {
    static let source = #"""
        import builtins, os, select, sys, time
        import _pickle
        from io import BytesIO
        del sys.path[0]
        OVERTIME = -24  # the status of what SIGXCPU ended
        CHANGING = (list, dict, set)
        PLAIN = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, type(None))

        class Link:
            """Values to and from the other process. Objects that are no plain values stay where they are and travel as handles."""
            def __init__(self, reading, writing, export, load):
                self.reading, self.writing = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
                class Pickler(_pickle.Pickler):
                    def persistent_id(self, value):
                        return None if type(value) in PLAIN else export(value)
                class Unpickler(_pickle.Unpickler):
                    def find_class(self, module, name):
                        raise ValueError("no classes travel")
                    def persistent_load(self, handle):
                        return load(handle)
                self.Pickler, self.Unpickler = Pickler, Unpickler
            def send(self, message):
                buffer = BytesIO()
                self.Pickler(buffer, 4).dump(message)
                self.writing.write(buffer.tell().to_bytes(8, "little") + buffer.getvalue())
                self.writing.flush()
            def receive(self):
                size = self.reading.read(8)
                if len(size) < 8:
                    raise EOFError
                return self.Unpickler(BytesIO(self.reading.read(int.from_bytes(size, "little")))).load()

        def containers(values):
            """The lists, dictionaries and sets in some values, each once, in an order that both processes find."""
            found, seen, waiting = [], set(), list(values)
            while waiting:
                value = waiting.pop()
                if type(value) in (*CHANGING, tuple) and id(value) not in seen:
                    seen.add(id(value))
                    if type(value) is not tuple:
                        found.append(value)
                    if type(value) is not set:
                        waiting.extend(value.values() if type(value) is dict else value)
            return found

        # The candidate.

        def candidate(reading, writing):
            objects, numbers = [], {}
            def export(value):
                if isinstance(value, type) and value in PLAIN:
                    return ("type", PLAIN.index(value))
                for base in PLAIN[:-1]:
                    if isinstance(value, base):
                        return ("plain", base(value))
                if id(value) not in numbers:
                    numbers[id(value)] = len(objects)
                    objects.append(value)
                return ("object", numbers[id(value)])
            def imported(handle):
                return slice(*handle[1:]) if handle[0] == "slice" else (PLAIN if handle[0] == "type" else objects)[handle[1]]
            link = Link(reading, writing, export, imported)
            space = {"__name__": "candidate"}
            def load(source):
                exec(compile(source, "candidate", "exec"), space)
                return [name for name in space if not name.startswith("__")]
            def names(error):
                return [kind.__name__ for kind in type(error).__mro__]
            requests = {
                "load": load, "name": space.__getitem__, "call": lambda f, a, k: f(*a, **k), "get": getattr, "set": setattr, "iter": iter,
                "next": next, "len": len, "item": lambda o, i: o[i], "text": str, "bool": bool, "program": program,
            }
            while True:
                try:
                    kind, *arguments = link.receive()
                except EOFError:
                    os._exit(0)
                given = containers([*arguments[1], *arguments[2].values()]) if kind == "call" else []
                try:
                    reply = ("value", requests[kind](*arguments), given)
                except BaseException as error:
                    reply = ("error", names(error), str(error), error.args, given)
                try:
                    link.send(reply)
                except BaseException as error:
                    link.send(("error", names(error), str(error), (), []))

        def program(source, text, limit, seconds, wallSeconds):
            """Runs a whole program in a process of its own: what it printed, and how it failed, with no status where it took too long."""
            path = "/tmp/.input"
            with open(path, "w") as file:
                file.write(text)
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                for target, file in ((0, os.open(path, os.O_RDONLY)), (1, writing), (2, os.open("/dev/null", os.O_WRONLY))):
                    os.dup2(file, target)
                os.closerange(3, 64)
                os.unlink(path)
                import resource
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
                status, sys.stdin = 0, open(0)
                sys.stdout, sys.stderr = open(1, "w"), open(2, "w")
                try:
                    exec(compile(source, "candidate", "exec"), {"__name__": "__main__"})
                except SystemExit as exit:
                    status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
                except BaseException as error:
                    print(f"{type(error).__name__}: {error}")
                    status = 1
                sys.stdout.flush()
                os._exit(status & 255)
            os.close(writing)
            output, end, isLate = b"", time.monotonic() + wallSeconds, False
            while len(output) <= limit:
                if not select.select([reading], [], [], max(0, end - time.monotonic()))[0]:
                    isLate = True
                    os.kill(child, 9)
                    break
                if not (part := os.read(reading, 65536)):
                    break
                output += part
            os.close(reading)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return None if isLate else status, output.decode(errors="replace")

        # The judge.

        class CandidateError(Exception):
            """What the candidate raised, or another reason why it failed."""
            text = raised = ""
            def __str__(self): return self.text or ", ".join(map(str, self.args))
            def evidence(self): return ": ".join(part for part in (self.raised, str(self)) if part)

        def as_raised(names, text, values):
            """An exception that tests may expect as they would expect the candidate's: of the first kind of Python's own that it is."""
            kinds = [getattr(builtins, name, None) for name in names]
            kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception) and k is not StopIteration), Exception)
            kind = type("Raised", (CandidateError, kind), {})
            try:
                error = kind.__new__(kind)  # its constructor may take more than a text
            except TypeError:
                error = CandidateError()
            error.args, error.text, error.raised = values, text, names[0]
            return error

        def mirror(mine, theirs):
            """Makes containers of the tests what the candidate made of its copies of them. What is as it was is not touched: somebody may be iterating over it."""
            if not (type(theirs) is list and list(map(type, mine)) == list(map(type, theirs))):
                raise CandidateError("it answers what no candidate does")
            owned = {id(copy): value for copy, value in zip(theirs, mine)}
            def own(value):
                if type(value) is tuple and id(value) not in owned:
                    owned[id(value)] = tuple(map(own, value))
                return owned.get(id(value), value)
            def same(a, b):
                return a is b or type(a) is type(b) and type(a) not in CHANGING and type(a) is not Handle and a == b
            for copy in containers(theirs):
                value = owned.get(id(copy), copy)
                if type(value) is set:
                    if value != copy:
                        value.clear()
                        value.update(copy)
                elif type(value) is list:
                    now = list(map(own, copy))
                    if not (len(now) == len(value) and all(map(same, value, now))):
                        value[:] = now
                else:
                    now = {key: own(copy[key]) for key in copy}
                    if list(now) != list(value):
                        value.clear()
                    value.update((key, now[key]) for key in now if key not in value or not same(value[key], now[key]))
            return own

        class Ended(BaseException):
            pass

        class Unjudged(BaseException):
            pass

        class Handle:
            __slots__ = ("_number", "_ask")
            def __init__(self, number, ask):
                object.__setattr__(self, "_number", number)
                object.__setattr__(self, "_ask", ask)
            def __call__(self, *a, **k): return self._ask("call", self, a, k)
            def __getattr__(self, name): return self._ask("get", self, name)
            def __setattr__(self, name, value): self._ask("set", self, name, value)
            def __iter__(self): return self._ask("iter", self)
            def __next__(self):
                try:
                    return self._ask("next", self)
                except CandidateError as error:
                    raise StopIteration if error.raised == "StopIteration" else error
            def __len__(self): return self._ask("len", self)
            def __getitem__(self, key): return self._ask("item", self, key)
            def __str__(self): return self._ask("text", self)
            def __bool__(self): return self._ask("bool", self)

        def judge(reading, writing, candidate):
            def export(value):
                if type(value) is Handle:
                    return ("object", value._number)
                if type(value) is type and value in PLAIN:
                    return ("type", PLAIN.index(value))
                if type(value) is slice:
                    return ("slice", value.start, value.stop, value.step)
                raise TypeError(f"the tests pass an object of type {type(value).__name__}, which cannot be sent")
            def load(handle):
                if handle[0] == "object" and type(handle[1]) is int:
                    return handles.setdefault(handle[1], Handle(handle[1], ask))
                if handle[0] == "type":
                    return PLAIN[handle[1]]
                if handle[0] == "plain" and type(handle[1]) in PLAIN:
                    return handle[1]
                raise ValueError
            link = Link(reading, writing, export, load)
            last, named, handles = [], [], {}
            def ask(*request):
                given = containers([*request[2], *request[3].values()]) if request[0] == "call" else []
                try:
                    link.send(request)
                except (TypeError, _pickle.PicklingError) as error:
                    # What the tests do to an object that the candidate gave them, it may have brought about.
                    raise Unjudged(str(error)) if any(request[1] is handle for handle in named) else TypeError(str(error))
                except OSError:
                    raise Ended
                try:
                    reply = link.receive()
                except EOFError:
                    raise Ended
                own = mirror(given, reply[-1]) if given and reply[-1] else lambda value: value
                if reply[0] != "value":
                    names, text, values = reply[1:4]
                    if not (type(names) is list and names and all(type(name) is str for name in names) and type(text) is str and type(values) is tuple):
                        raise CandidateError("it answers what no candidate does")
                    raise as_raised(names, text, values)
                value = own(reply[1])
                if request[0] == "name" and type(value) is Handle:
                    value = Handle(value._number, ask)  # not the one under which the candidate may give it out again
                    named.append(value)
                last[:] = [value]
                return value
            data = sys.stdin.buffer
            fields = []
            while size := data.readline():
                fields.append(data.read(int(size)).decode())
            token, seconds, wallSeconds, kind, source, *rest = fields
            overtime = f"used {seconds} s of processor time"
            def say(outcome, evidence=""):
                os.write(1, f"{token} {outcome} {' '.join(evidence.split())[:400]}\n".encode(errors="replace"))
            say("started")
            try:
                if kind == "functions":
                    functions(ask, source, *rest)
                else:
                    programs(ask, source, int(seconds), int(wallSeconds), overtime, zip(rest[::2], rest[1::2]))
                say("right")
            except Unjudged as error:
                say("unjudged", str(error))
            except Ended:
                os.kill(candidate, 9)  # what only closed its pipe; what ended otherwise keeps its status
                status = os.waitstatus_to_exitcode(os.waitpid(candidate, 0)[1])
                say("wrong", overtime if status == OVERTIME else "the program ended before its tests did")
            except CandidateError as error:
                say("wrong", error.evidence())
            except ImportError as error:
                say("unjudged", f"the tests cannot be run: {error}")
            except AssertionError as error:
                value = f"; the last value was {last[0]!r:.100}" if last and type(last[0]) is not Handle else ""
                say("wrong", f"failed: {failing(error, rest[-1]) or error}{value}")
            except BaseException as error:
                say("wrong", f"{type(error).__name__}: {error}")

        def failing(error, tests):
            """The line of the tests at which they stopped."""
            lines, trace, found = tests.split("\n"), error.__traceback__, ""
            while trace:
                if trace.tb_frame.f_code.co_filename == "tests":
                    found = lines[trace.tb_lineno - 1]
                trace = trace.tb_next
            return found

        def functions(ask, source, isWhole, prelude, entry, text):
            space = {"__name__": "tests"}
            try:
                prelude = whole(prelude)
                exec(prelude, space)
                tests = compile(text, "tests", "exec")
            except Exception as error:
                raise Unjudged(f"the tests cannot be run: {type(error).__name__}: {error}")
            names = ask("load", f"{prelude}\n{source}" if isWhole else source)
            if entry not in names:
                raise CandidateError(f"the program does not define {entry}")
            said = identifiers(tests)
            for name in names:
                # What the tests rely on besides the candidate is the true thing, never the candidate's version of it.
                if name == entry:
                    space[name] = ask("name", name)
                elif name in said and name not in space and name not in dir(builtins):
                    space[name] = module(name) or ask("name", name)
            exec(tests, space)

        def whole(prelude):
            """A prelude without the beginning of a function that the completion ends."""
            lines = prelude.split("\n")
            while True:
                try:
                    compile("\n".join(lines), "prelude", "exec")
                    return "\n".join(lines)
                except SyntaxError:
                    lines.pop()

        def identifiers(code):
            return {*code.co_names, *(name for value in code.co_consts if hasattr(value, "co_names") for name in identifiers(value))}

        def module(name):
            try:
                return __import__(name) if name in sys.stdlib_module_names else None
            except ImportError:  # of another system
                return None

        def programs(ask, source, seconds, wallSeconds, overtime, cases):
            for number, (text, expected) in enumerate(cases, 1):
                status, output = ask("program", source, text, 1 << 20, seconds, wallSeconds)
                if status is None:
                    raise CandidateError(f"test {number}: timed out after {wallSeconds} s")
                if status == OVERTIME:
                    raise CandidateError(f"test {number}: {overtime}")
                if status != 0:
                    raise CandidateError(f"test {number}: ended with status {status}: {output[-200:]}")
                if output.split() != expected.split():
                    raise CandidateError(f"test {number}: printed {output[:100]!r}, expected {expected[:100]!r}")

        a, b = os.pipe(), os.pipe()
        process = os.fork()
        if process == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for target in (0, 1, 2):
                os.dup2(null, target)
            for file in (null, a[1], b[0]):
                os.close(file)
            candidate(a[0], b[1])
        for file in (a[0], b[1]):
            os.close(file)
        judge(b[0], a[1], process)
        os._exit(0)
        """#
}
