import Foundation
import Tasks
import Testing

/// Whether programs can be run in a sandbox here; says why not, so that skipped tests say it.
func canSandbox() async -> Bool {
    do {
        try await Sandbox.check()
    } catch {
        print("Tests of the sandbox are skipped. \(error)")
        return false
    }
    return access("/usr/bin/python3", X_OK) == 0
}

#if os(Linux)

@Suite("The sandbox", .serialized, .enabled("needs bubblewrap and /usr/bin/python3", { await canSandbox() }))
struct SandboxTests {
    static let sandbox = Sandbox()
    static let limits = SandboxLimits(
        wallTime: .seconds(4), cpuSeconds: 2, addressSpaceBytes: 256 << 20, memoryBytes: 400 << 20, processes: 16, fileBytes: 8 << 20,
        temporaryBytes: 16 << 20, outputBytes: 1 << 20)

    @Test("a program's output, errors, code and files are its own")
    func plain() async throws {
        let result = try await Self.sandbox.run(
            "/usr/bin/python3", arguments: ["-S", "-B", "main.py", "x y"],
            files: ["main.py": "import sys, data\nprint(sys.argv[1], data.value, input())\nprint('bad', file=sys.stderr)\nsys.exit(3)", "data.py": "value = 'é'"],
            input: "typed\n")
        #expect(result.reason == .finished && result.exitCode == 3 && result.signal == nil && !result.isTruncated)
        #expect(result.output == "x y é typed\n")
        #expect(result.errors == "bad\n")
        #expect(result.cpuTime > .zero && result.wallTime > .zero)
    }

    @Test("a signal that ends a program is named, and the shell around it says nothing")
    func signals() async throws {
        let result = try await Self.sandbox.run("/usr/bin/python3", arguments: ["-S", "-c", "import os; os.kill(os.getpid(), 9)"])
        #expect(result.signal == 9 && result.exitCode == nil && result.errors.isEmpty && result.reason == .finished)
    }

    @Test("output beyond the limit is cut, and said to be")
    func cap() async throws {
        let result = try await Self.sandbox.run(
            "/usr/bin/python3", arguments: ["-S", "-c", "print('x' * 5000)"], limits: SandboxLimits(outputBytes: 1000))
        #expect(result.isTruncated && result.output.count == 1000 && result.reason == .outputCap)
    }

    @Test("what cannot be run is an error that says so")
    func errors() async throws {
        await #expect(throws: SandboxError.badFileName("../x")) { try await Self.sandbox.run("/bin/sh", files: ["../x": ""]) }
        await #expect { try await Sandbox(readable: ["/no/such"]).run("/bin/sh") } throws: { "\($0)".contains("/no/such") && "\($0)".contains("Check its path") }
        #expect("\(SandboxError.missing(program: "/usr/bin/bwrap", package: "bubblewrap"))".contains("apt-get install -y bubblewrap"))
        #expect("\(SandboxError.refused(reason: "no"))".contains("user namespaces"))
    }

    @Test("cancelling the task kills the program")
    func cancelling() async throws {
        let start = ContinuousClock.now
        let task = Task { try await Self.sandbox.run("/bin/sh", arguments: ["-c", "sleep 60"], limits: SandboxLimits(wallTime: .seconds(60))) }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        #expect(try await task.value.reason == .cancelled)
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test("many programs at once keep their outputs apart")
    func parallel() async throws {
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for index in 0..<40 {
                group.addTask { (index, try await Self.sandbox.run("/bin/sh", arguments: ["-c", "cat; echo $0", "\(index)"], input: "in \(index)\n").output) }
            }
            for try await (index, output) in group { #expect(output == "in \(index)\n\(index)\n") }
        }
    }

    @Test("every abuse is contained, and nothing of it is left")
    func abuses() async throws {
        #expect(SandboxAbuse.all.count >= 32)
        let world = try AbusedWorld()
        let (mounts, open) = (try world.mounts(), try world.openFiles())
        await withTaskGroup(of: Void.self) { group in
            for abuse in SandboxAbuse.all {
                group.addTask {
                    do {
                        let result = try await Self.sandbox.run(
                            "/usr/bin/python3", arguments: ["-S", "-B", "-c", SandboxAbuse.prelude + abuse.source] + world.arguments, limits: Self.limits)
                        expect(abuse, result)
                    } catch {
                        Issue.record("\(abuse.name): \(error)")
                    }
                }
            }
        }
        #expect(try world.processes() == [])
        #expect(try world.mounts() == mounts)
        // Other tests open files meanwhile, and close them; what stays open was leaked.
        var leaked = try world.openFiles().subtracting(open)
        for _ in 0..<600 where !leaked.isEmpty {
            try await Task.sleep(for: .milliseconds(100))
            leaked.formIntersection(try world.openFiles())
        }
        #expect(leaked.isEmpty)
        #expect(world.wasNotVisited())
        try world.remove()
    }
}

private func expect(_ abuse: SandboxAbuse, _ result: SandboxResult) {
    let told: Comment = "\(abuse.name): \(result.reason) \(result.exitCode ?? -1) \(result.signal ?? -1) \(result.output.suffix(300)) \(result.errors.suffix(300))"
    #expect(!result.output.contains("ESCAPED"), told)
    #expect(result.wallTime < .seconds(30), told)
    switch abuse.outcome {
    case .held: #expect(result.reason == .finished && result.output.contains("held"), told)
    case .stopped(let reasons): #expect(reasons.contains(result.reason), told)
    case .ended: #expect(result.reason == .finished, told)
    }
}

/// What abuses reach for, outside: a secret file and variable, sockets that listen, an open descriptor that children would inherit.
private final class AbusedWorld: Sendable {
    let folder: URL
    let arguments: [String]
    private let marker = "abuse-\(UUID().uuidString)"
    private let listeners: [Int32]

    init() throws {
        folder = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".autodidact-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let (secretFile, path) = (folder.appending(path: "secret").path, NSTemporaryDirectory() + "/autodidact-\(UInt32.random(in: 0..<(.max)))")
        try "secret \(marker)".write(toFile: secretFile, atomically: false, encoding: .utf8)
        chmod(secretFile, 0o644)
        setenv("AUTODIDACT_TEST_SECRET", "secret \(marker)", 1)

        func bound<Address>(_ family: Int32, _ address: Address, _ size: Int) -> Int32 {
            let listener = socket(family, Int32(SOCK_STREAM.rawValue), 0)
            let status = withUnsafePointer(to: address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(size)) } }
            precondition(status == 0 && listen(listener, 8) == 0, "no socket to listen on")
            _ = fcntl(listener, F_SETFL, O_NONBLOCK)
            return listener
        }
        func unix(_ name: [UInt8]) -> (sockaddr_un, Int) {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
            return (address, MemoryLayout<sa_family_t>.size + name.count)
        }
        var local = sockaddr_in()
        local.sin_family = sa_family_t(AF_INET)
        local.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let tcp = bound(AF_INET, local, MemoryLayout<sockaddr_in>.size)
        var (taken, size) = (sockaddr_in(), socklen_t(MemoryLayout<sockaddr_in>.size))
        _ = withUnsafeMutablePointer(to: &taken) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(tcp, $0, &size) } }
        let (named, abstract) = (unix(Array(path.utf8)), unix([0] + Array(marker.utf8)))
        listeners = [tcp, bound(AF_UNIX, named.0, named.1), bound(AF_UNIX, abstract.0, abstract.1)]
        chmod(path, 0o777)
        let port = UInt16(bigEndian: taken.sin_port)
        arguments = [marker, secretFile, URL(fileURLWithPath: #filePath).deletingLastPathComponent().path, path, marker, "\(port)", "secret \(marker)"]
    }

    /// Processes whose command names the marker.
    func processes() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil && Int32($0) != getpid() }.filter { process in
            (FileManager.default.contents(atPath: "/proc/\(process)/cmdline").map { String(decoding: $0, as: UTF8.self).contains(marker) }) ?? false
        }
    }

    func mounts() throws -> String { try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8) }

    /// Pipes of this process, and temporary files of ours, open or by name.
    func openFiles() throws -> Set<String> {
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
        }
        let named = try FileManager.default.contentsOfDirectory(atPath: NSTemporaryDirectory()).filter { $0.hasPrefix("autodidact-") }
        return Set(open.filter { $0.hasPrefix("pipe:") || $0.contains("autodidact-") } + named)
    }

    func wasNotVisited() -> Bool { listeners.allSatisfy { accept($0, nil, nil) < 0 } }

    func remove() throws {
        listeners.forEach { close($0) }
        unsetenv("AUTODIDACT_TEST_SECRET")
        try FileManager.default.removeItem(at: folder)
        try FileManager.default.removeItem(atPath: arguments[3])
    }
}

#endif
