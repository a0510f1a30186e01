import Autodidact
import Foundation
import Testing

@Suite("Bad input", .enabled(if: Places.exists(Places.executable), "no \(Places.executable): build the product autodidact first"), .serialized)
struct BadInputTests {
    /// The command fails, says every one of `words`, and leaves no run behind.
    private func expectRefusal(_ arguments: [String], saying words: [String], in folder: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try autodidact(arguments, in: folder)
        #expect(result.status != 0 && result.status < 128, "\(arguments): status \(result.status)", sourceLocation: sourceLocation)
        for word in words { #expect(result.error.contains(word), "\(arguments): '\(word)' is not in: \(result.error)", sourceLocation: sourceLocation) }
        #expect(!result.error.contains("Fatal"), sourceLocation: sourceLocation)
        #expect(!Places.exists("\(folder)/runs"), sourceLocation: sourceLocation)
    }

    @Test("missing files, unknown values and empty data are refused before anything is made")
    func refused() throws {
        try Places.withFolder { folder in
            _ = FileManager.default.createFile(atPath: "\(folder)/empty.jsonl", contents: Data())
            _ = FileManager.default.createFile(atPath: "\(folder)/broken.gguf", contents: Data("GGUF".utf8))
            try "speed: 3\n".write(toFile: "\(folder)/unknown.yaml", atomically: true, encoding: .utf8)
            try expectRefusal(["generate", "--model", "nowhere", "--prompt", "x"], saying: ["nowhere"], in: folder)
            try expectRefusal(["generate", "--model", "broken.gguf", "--prompt", "x"], saying: ["broken.gguf"], in: folder)
            try expectRefusal(["inspect", "broken.gguf"], saying: ["broken.gguf"], in: folder)
            try expectRefusal(["score", "--model", "broken.gguf", "--input", "empty.jsonl"], saying: ["empty.jsonl", "no examples"], in: folder)
            try expectRefusal(["learn", "--recipe", "stra"], saying: ["stra", "star"], in: folder)
            try expectRefusal(["learn", "--task", "additon"], saying: ["additon", "addition"], in: folder)
            try expectRefusal(["learn", "--config", "unknown.yaml"], saying: ["unknown.yaml", "speed"], in: folder)
            try expectRefusal(["learn", "--config", "nowhere.yaml"], saying: ["nowhere.yaml"], in: folder)
            try expectRefusal(["learn", "--verifier", "nobody"], saying: ["nobody", "accept-all"], in: folder)
            try expectRefusal(["learn", "--task-option", "digits=zero"], saying: ["digits"], in: folder)
            try expectRefusal(["learn", "--task-option", "colour=red"], saying: ["colour"], in: folder)
            try expectRefusal(["learn", "--task", "jsonl", "--model", "broken.gguf", "--task-option", "data=empty.jsonl"], saying: ["empty.jsonl"], in: folder)
            try expectRefusal(["learn", "--resume", "nowhere"], saying: ["nowhere"], in: folder)
            try expectRefusal(["learn", "--threads", "0"], saying: ["threads"], in: folder)
            try expectRefusal(["learn", "--learning-rate", "-1"], saying: ["learning-rate"], in: folder)
            try expectRefusal(["generate", "--model", "x", "--prompt", "x", "--top-p", "1.5"], saying: ["top-p", "1.5"], in: folder)
            try expectRefusal(["runs", "show", "nowhere"], saying: ["nowhere"], in: folder)
        }
    }

    @Test("an output that cannot be written is named")
    func unwritable() throws {
        try Places.withFolder { folder in
            _ = FileManager.default.createFile(atPath: "\(folder)/file", contents: Data())
            try expectRefusal(["learn", "--output", "file/run"], saying: ["file/run"], in: folder)
        }
    }

    @Test("a second process does not write the same run")
    func secondWriter() throws {
        try Places.withFolder { folder in
            let run = try RunFolder(creating: "\(folder)/run", recipe: "schema: 1\n")
            try withExtendedLifetime(run) { try expectRefusal(["learn", "--resume", "run"], saying: ["run"], in: folder) }
        }
    }

    @Test("a loss that is not finite stops before the update and names the step")
    func notFinite() throws {
        try Places.withFolder { folder in
            let result = try autodidact(
                ["learn", "--learning-rate", "1e30", "--output", "run", "--task-option", "digits=1-2", "--task-option", "shares={1: 1}", "--task-option", "train-count=20"], in: folder)
            #expect(result.status == 1)
            #expect(result.error.contains("not finite") && result.error.contains("step"), "\(result.error)")
        }
    }

    @Test(
        "a full disk is an error that names the file, and the run goes on once there is room",
        .enabled(if: getuid() == 0 && Places.exists("/bin/mount"), "a small file system can only be mounted by root"))
    func fullDisk() throws {
        try Places.withFolder { folder in
            func shell(_ command: String) throws -> Int32 { try Child(["-c", command], executable: "/bin/sh", in: folder).wait().status }
            let disk = "\(folder)/disk"
            try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
            // A sandbox may forbid mounting even to root.
            guard try shell("mount -t tmpfs -o size=1m tmpfs '\(disk)'") == 0 else { return }
            defer { _ = try? shell("umount '\(disk)'") }
            let arguments = ["--task-option", "digits=1-2", "--task-option", "shares={1: 1}", "--task-option", "train-count=20", "--iterations", "1", "--steps", "5", "--test-limit", "10"]
            let full = try autodidact(["learn", "--output", "disk/run"] + arguments, in: folder)
            #expect(full.status == 1, "\(full.output)")
            #expect(full.error.contains("disk/run"), "\(full.error)")
            try #require(try shell("mount -o remount,size=200m '\(disk)'") == 0)
            let resumed = try autodidact(["learn", "--resume", "disk/run"], in: folder)
            #expect(resumed.status == 0, "\(resumed.error)")
        }
    }

    @Test("a prompt longer than the context is refused, an answer cut off by its length says so", .enabled(if: Places.exists(Places.smolLM), "no \(Places.smolLM): run scripts/setup.sh models"))
    func context() throws {
        try Places.withFolder { folder in
            let long = String(repeating: "word ", count: 9000)
            try expectRefusal(["generate", "--model", Places.smolLM, "--prompt", long], saying: ["context", "8192"], in: folder)
            let cut = try autodidact(["generate", "--model", Places.smolLM, "--prompt", "Count to one hundred:", "--max-tokens", "3", "--json"], in: folder)
            #expect(cut.status == 0 && cut.output.contains("\"finish_reason\":\"length\""), "\(cut.output)\(cut.error)")
        }
    }
}
