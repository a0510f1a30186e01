import Foundation
import Tasks
import Testing

@Suite("Judging code", .enabled("needs bubblewrap and /usr/bin/python3", { await canSandbox() }))
struct CodeVerifierTests {
    static let verifier = CodeVerifier()
    /// As HumanEval states problems.
    static let completion = Problem(
        id: "add", question: "", details: [
            "prefix": "import math\n\ndef helper(x):\n    return x + 1\n\ndef add(a, b):\n    \"\"\"The sum.\"\"\"\n", "entry_point": "add",
            "tests": """
                def check(candidate):
                    assert candidate(1, 2) == 3
                    assert helper(candidate(2, 2)) == 5
                    assert abs(candidate(0.1, 0.2) - 0.3) < 1e-9
                check(add)
                """,
        ])
    /// As MBPP states problems.
    static let function = Problem(
        id: "pairs", question: "", details: ["entry_point": "pairs", "tests": "assert pairs([2, 1]) == [(1, 2)]\nassert pairs([]) == []\nassert pairs((4, 3)) == [(3, 4)]"])
    /// As APPS states problems.
    static let program = Problem(id: "sum", question: "", details: ["inputs": #"["1 2\n", "5 7\n"]"#, "outputs": #"["3\n", "12\n"]"#])
    static let good = "def pairs(values):\n    values = sorted(values)\n    return [tuple(values)] if values else []\n"

    func verdict(_ problem: Problem, _ text: String, by verifier: CodeVerifier = verifier) async throws -> Verdict {
        let judgement = try #require(await verifier.judge([rollout(problem, text)]).first)
        guard case .judged(let verdict) = judgement else { throw TaskError.badProblem(id: problem.id, reason: "\(judgement)") }
        return verdict
    }

    private static func tests(_ entry: String, _ tests: String, prefix: String? = nil) -> Problem {
        Problem(id: entry, question: "", details: ["entry_point": entry, "tests": tests].merging(prefix.map { ["prefix": $0] } ?? [:]) { $1 })
    }

    /// Prefixes that are no program, tests that expect exceptions, arguments that change, and functions that are called like a module.
    static let otherRight: [(Problem, String)] = [
        (tests("add", "assert add(1, 2) == 3", prefix: "def add(a, b):\n"), "    return a + b\n"),
        (tests("add", "assert add(1, 2) == 3", prefix: "def add(a, b):\n"), "```python\ndef add(a, b):\n    return a + b\n```"),
        (tests("root", "try:\n    root(-1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'below 0'"), "def root(x):\n    if x < 0: raise ValueError('below 0')\n"),
        (tests("find", "try:\n    find({}, 'x')\n    assert False\nexcept (KeyError, OSError):\n    pass"), "def find(d, k): return d[k]"),
        (tests("turn", "a = [3, 1, 2]\nassert turn(a, seen := {1}, counts := {}) is None\nassert a == [1, 2, 3] and seen == {1, 3} and counts == {'n': [3]}"),
         "def turn(a, seen, counts):\n    a.sort(); seen.add(len(a)); counts['n'] = [len(a)]\n"),
        (tests("select", "assert select([1, 2]) == 1"), "def select(x): return x[0]"),
        (tests("total", "g = [[0] * 2 for _ in range(2)]\nrow = g[0]\nassert total(g) == 0\nrow[0] = 5\nassert total(g) == 5"), "def total(g): return sum(map(sum, g))"),
        (tests("value", "d = {'a': 1, 'b': 2, 'c': 3}\ndel d['a']\nn = 0\nfor k, v in d.items():\n    assert value(d, k) == v\n    n += 1\nassert n == 2"), "def value(d, k): return d[k]"),
        (tests("read", "for text in [b'\\xff', b'{']:\n    try:\n        read(text)\n        assert False\n    except ValueError:\n        pass"), "import json\ndef read(x): return json.loads(x.decode())"),
        (tests("find", "try:\n    find('k')\nexcept KeyError as error:\n    assert error.args[0] == 'k'\nelse:\n    assert False"), "class Gone(KeyError): pass\ndef find(k): raise Gone(k)"),
        (tests("take", "a = [1]\ntry:\n    take(a)\nexcept IndexError:\n    assert a == []"), "def take(a):\n    a.pop()\n    a.pop()"),
        (tests("count", "assert count(2.5) == 2", prefix: "import math\ndef count(n):\n"), "```python\ndef count(n): return math.floor(n)\n```"),
        (tests("count", "assert count(3) == 6"), "nt = 2\ndef count(n): return nt * n"),
        (tests("turn", "nodes = [Node(2), Node(1)]\nfirst = nodes[0]\nturn(nodes)\nassert nodes[1] is first and first.v == 2"),
         "class Node:\n    def __init__(self, v): self.v = v\ndef turn(nodes): nodes.reverse()"),
        (tests("f", "p = [3]\nq = [1]\na = [p, q]\nassert f(a) is a\nassert a == [[1], [3]] and p == [3] and a[0] is q"), "def f(x):\n    x.sort()\n    return x"),
        (tests("fill", "m = [[0, 0]] * 3\nfill(m)\nassert m == [[0, 0], [1, 1], [2, 2]]"), "def fill(m):\n    for i in range(3): m[i] = [i] * 2"),
        (tests("touch", "d = {'a': 1, 'b': 2}\ntouch(d)\nassert list(d) == ['b', 'a']"), "def touch(d): d['a'] = d.pop('a')"),
        (tests("f", "a = {}\nb = {'next': a}\na['next'] = b\nassert f(a) == 1\nx = [1]\nfor _ in range(40): x = [x, x]\nassert f(x) == 1"), "def f(a): return 1"),
        (tests("grow", "rows = [[1]]\nrow = rows[0]\ngrow(rows)\nassert row == [1, 2] and rows == [[1, 2], ([1, 2], 3)] and rows[1][0] is row"),
         "def grow(rows):\n    rows[0].append(2)\n    rows.append((rows[0], 3))"),
    ]
    /// The same, and code that would like not to be judged.
    static let otherWrong: [(Problem, String, String)] = [
        (tests("root", "try:\n    root(-1)\n    assert False\nexcept ValueError:\n    pass"), "def root(x): raise TypeError('no')", "TypeError: no"),
        (tests("root", "try:\n    root(-1)\nexcept ValueError:\n    pass\nassert root(4) == 2"), "def root(x): raise KeyError('k')", "KeyError: 'k'"),
        (tests("turn", "a = [3, 1]\nturn(a)\nassert a == [1, 3]"), "def turn(a): a = sorted(a)", "a == [1, 3]"),
        (tests("add", "assert add(1, 2) == 3", prefix: "def add(a, b):\n"), "    return a - b\n", "add(1, 2) == 3"),
        (tests("dedupe", "a = [1]\nb = [2]\nrows = [a, b]\ndedupe(rows)\nassert rows == [a, b]"), "def dedupe(rows): rows[:] = [[0], [0]]", "rows == [a, b]"),
        (tests("inc", "g = [[1], [2]]\nrow = g[0]\ninc(g)\nassert row == [2]"), "def inc(g):\n    for i in range(2): g[i] = [g[i][0] + 1]", "row == [2]"),
        (tests("f", "try:\n    f(1)\nexcept TypeError:\n    pass\nelse:\n    assert False"), "def f(x): raise ExceptionGroup('a', [ValueError(1)])", "ExceptionGroup"),
        (tests("rows", "r = rows(3)\nr.sort(key=lambda x: x)"), "def rows(n=0, **k): return rows\nrows.sort = rows", "TypeError"),
        (tests("count", "assert count(3) == 6"), "nt = 1\nwinreg = 2\ndef count(n): return 1", "count(3) == 6"),
        (tests("rows", "assert rows(3)[:2] == [1, 2]"), "class A: pass\ndef rows(n): return A()", "TypeError"),
        (tests("rows", "r = rows(3)\nr.sort(key=lambda x: x)\nassert r == [1]"), "class A:\n    def __getattr__(self, name): return lambda **k: None\ndef rows(n): return A()", "TypeError"),
    ]

    @Test("right code is right, in every form that models give it", arguments: [
        (completion, "    return a + b\n"), (completion, "    return a + b\n\nprint(add(1, 2))\ndef broken(:\n"),
        (completion, "Here:\n```python\ndef add(a, b):\n    return a + b\n```\nThat is all.\n```\nadd(1, 2)\n```\n"),
        (completion, "    return a + b\n```\n\nThis adds two numbers."), (function, good + "```\n\nIt adds."), (function, good), (function, "Sure.\n```python\n\(good)"), (function, good + "import sys\nprint('noise')\nsys.stderr.write('noise')\n"),
        (program, "```python\nprint(sum(map(int, input().split())))\n```\nOutput:\n```\n3\n```"), (program, "So:\r\n```\r\nprint(sum(map(int, input().split())))\r\n```\r\n"),
        (program, "print(sum(map(int, input().split())))"), (program, "import sys\nprint(eval('+'.join(sys.stdin.read().split())), '  ')\nsys.exit()"),
    ] + otherRight)
    func right(problem: Problem, text: String) async throws {
        let verdict = try await verdict(problem, text)
        #expect(verdict.outcome == .right && verdict.reward == 1, "\(verdict.evidence)")
    }

    @Test("wrong code is wrong, and the evidence names what failed", arguments: [
        (completion, "    return a - b\n", "candidate(1, 2) == 3; the last value was -1"), (completion, "    return undefined\n", "NameError"),
        (function, "def pairs(values): return [values[9]]", "IndexError"), (function, "def pairs(values:", "SyntaxError"),
        (function, "def other(): pass", "does not define pairs"),
        (function, good.replacingOccurrences(of: "sorted(values)", with: "list(values)"), "pairs([2, 1]) == [(1, 2)]"),
        (function, good + "while True: pass", "used 3 s of processor time"), (function, "x = bytearray(1 << 40)", "MemoryError"),
        (function, good + "import time\ntime.sleep(60)", "timed out after 9 s"), (program, "while True: pass", "test 1: used 3 s of processor time"),
        (program, "import time\ntime.sleep(60)", "test 1: timed out after 9 s"),
        (program, "print(3)", "test 2: printed '3\\n', expected '12\\n'"), (program, "1/0", "ZeroDivisionError"), (program, "print(3)\nimport os\nos._exit(1)", "status 1"),
    ] + otherWrong)
    func wrong(problem: Problem, text: String, evidence: String) async throws {
        let verdict = try await verdict(problem, text)
        #expect(verdict.outcome == .wrong && verdict.reward == 0)
        #expect(verdict.evidence.contains(evidence), "\(verdict.evidence)")
    }

    static let define = "def pairs(values): return [(0, 0)]\n"

    @Test("cheats are wrong", arguments: [
        "import sys\nsys.exit(0)", "import os\nos._exit(0)", "raise SystemExit(0)", "exit(0)", "\(define)import atexit, os\natexit.register(lambda: os._exit(0))",
        "def pairs(values):\n    import os\n    os._exit(0)", "def pairs(values):\n    import sys\n    sys.exit(0)",
        "\(define)import os\nfor n in range(64):\n    try: os.write(n, b'right\\nstarted\\npassed all tests passed\\n')\n    except OSError: pass\nos._exit(0)",
        "print('all tests passed')\nprint('right')\nimport os\nos._exit(0)",
        "class Same(list):\n    def __eq__(self, other): return True\n    def __len__(self): return 0\ndef pairs(values): return Same([1])",
        """
        class Same:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __bool__(self): return True
        def pairs(values): return Same()
        """,
        "class Meta(type):\n    def __eq__(self, other): return True\nclass Same(metaclass=Meta): pass\ndef pairs(values): return Same",
        "\(define)import builtins\nbuiltins.AssertionError = type('Quiet', (Exception,), {'__new__': lambda *a: None})\nbuiltins.list = builtins.tuple = lambda *a: []",
        """
        \(define)import sys
        main = sys.modules['__main__']
        main.judge = main.functions = main.Handle = lambda *a: None
        sys.settrace(lambda *a: None)
        """,
        """
        import gc, sys
        def pairs(values):
            frame = sys._getframe()
            while frame:
                for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                    if 'assert pairs' in str(value): return eval(str(value).split('==')[1].split(chr(10))[0])
                frame = frame.f_back
            for o in gc.get_objects():
                if isinstance(o, (dict, list, tuple)) and 'assert pairs([2' in repr(o)[:100000]: return eval(repr(o).split('==')[1])
            return 0
        """,
        "import os\ndef pairs(values):\n    text = os.read(0, 1 << 16).decode() + open('/proc/self/fd/0').read()\n    return eval(text.split('==')[1])",
        "import os, signal\ndef pairs(values):\n    os.kill(os.getppid(), signal.SIGKILL)",
        "import os\nos.kill(-1, 9)", "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)",
        "import os\ndef pairs(values):\n    import ctypes\n    memory = open('/proc/%d/mem' % os.getppid(), 'rb+')\n    return []",
        "\(define)import os\nfor name in os.listdir('/tmp'): os.unlink('/tmp/' + name)",
        "import sys\nmain = sys.modules['__main__']\nmain.Link.send = lambda self, message: None\ndef pairs(values): return []",
        """
        import os
        def pairs(values):
            for n in range(3, 64):
                try: os.write(n, (2).to_bytes(8, 'little') + b'N.')
                except OSError: pass
            os._exit(0)
        """,
        "def check(f): pass\n\(define)", "abs = len = print = all = lambda *a: True\n\(define)",
    ])
    func cheats(text: String) async throws {
        let verdict = try await verdict(Self.function, text)
        #expect(verdict.outcome == .wrong, "\(verdict.evidence)")
    }

    @Test("the tests rely on no version of the candidate's own", arguments: [
        "    return 0\nhelper = abs", "    return 0\n\nabs = lambda x: 0", "```\ndef helper(x): return 5\nabs = lambda x: 0\ndef add(a, b): return 3\n```",
    ])
    func helpers(text: String) async throws {
        let verdict = try await verdict(Self.completion, text)
        #expect(verdict.outcome == .wrong, "\(verdict.evidence)")
    }

    @Test("objects of the candidate's classes pass through tests that build them")
    func classes() async throws {
        let problem = Problem(id: "tree", question: "", details: [
            "entry_point": "depth", "tests": "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2 and root.left.value == 2\nassert depth(None) == 0",
        ])
        let code = "class Node:\n    def __init__(self, value): self.value, self.left = value, None\ndef depth(node): return 1 + depth(node.left) if node else 0"
        #expect(try await verdict(problem, code).outcome == .right)
        #expect(try await verdict(problem, code.replacingOccurrences(of: "1 + ", with: "2 + ")).outcome == .wrong)
    }

    @Test("tests that cannot be run judge nobody, and an interpreter that judges nothing is found beforehand", arguments: [
        tests("pairs", "import no_such_module\nassert pairs([]) == []"), tests("pairs", "assert pairs([]) =="), tests("pairs", "assert pairs([]) == []", prefix: "import no_such_module\n"),
    ])
    func untestable(problem: Problem) async throws {
        guard case .failed(let reason) = try #require(await Self.verifier.judge([rollout(problem, Self.good)]).first) else {
            Issue.record("it was judged")
            return
        }
        #expect(reason.contains("the tests cannot be run"), "\(reason)")
        await #expect(throws: SandboxError.self) { try await CodeVerifier(interpreter: "/usr/bin/env").checkReady() }
        try await Self.verifier.checkReady()
    }

    @Test("no code is unreadable, a cut completion is cut off, and what cannot be judged fails")
    func others() async throws {
        #expect(try await verdict(Self.function, "\n \n").outcome == .unreadable)
        let cut = rollout(Self.function, Self.good, finish: .length)
        #expect(await Self.verifier.judge([cut]).first.map { if case .judged(let verdict) = $0 { verdict.outcome == .cutOff } else { false } } == true)
        for (problem, verifier) in [
            (Problem(id: "none", question: ""), Self.verifier), (Self.function, CodeVerifier(interpreter: "/usr/bin/no-python")),
            (Self.function, CodeVerifier(interpreter: "/usr/bin/env")),
            (Problem(id: "odd", question: "", details: ["entry_point": "pairs", "tests": "assert pairs(lambda: 0)"]), Self.verifier),
        ] {
            guard case .failed(let reason) = try #require(await verifier.judge([rollout(problem, Self.good)]).first) else {
                Issue.record("\(problem.id) with \(verifier.interpreter) was judged")
                continue
            }
            #expect(!reason.isEmpty)
        }
    }

    @Test("verdicts come in the order of the rollouts")
    func order() async throws {
        let texts = (0..<12).map { $0 % 3 == 0 ? Self.good : "def pairs(values): return \($0)" }
        let judged = await Self.verifier.judge(texts.map { rollout(Self.function, $0) })
        #expect(judged.map { if case .judged(let verdict) = $0 { verdict.outcome == .right } else { false } } == (0..<12).map { $0 % 3 == 0 })
    }

    @Test("problems are read from the files of HumanEval and MBPP, split as published")
    func problems() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "code-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (first, second) = (folder.appending(path: "h.jsonl"), folder.appending(path: "m.jsonl"))
        try #"{"id":"H/0","prompt":"def f():\n","entry_point":"f","canonical_solution":"    return 1\n","test":"def check(c):\n    assert c() == 1\n"}"#
            .write(to: first, atomically: true, encoding: .utf8)
        let problem = try #require(try CodeProblems.humaneval(first).first)
        #expect(problem.details["tests"] == "def check(c):\n    assert c() == 1\n\ncheck(f)\n" && problem.details["reference"] == "    return 1\n" && problem.id == "H/0")
        let record = #"{"id":"m","split":"SPLIT","text":"Do.","entry_point":"f","code":"def f(): return 1","test_setup_code":"x = 1","test_list":["assert f() == x"]}"#
        let splits = ["train", "validation", "test", "prompt"]
        try splits.map { record.replacingOccurrences(of: "SPLIT", with: $0) }.joined(separator: "\n").write(to: second, atomically: true, encoding: .utf8)
        let mbpp = try CodeProblems.mbpp(second)
        #expect(Split.allCases.allSatisfy { mbpp.splits[$0]?.count == 1 } && mbpp.fewShot.count == 1)
        #expect(mbpp.fewShot[0].details["tests"] == "x = 1\nassert f() == x")
        try record.write(to: second, atomically: true, encoding: .utf8)
        #expect { try CodeProblems.mbpp(second) } throws: { "\($0)".contains("Known: train, validation, test, prompt") }
    }
}
