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
            try expectRefusal(["learn", "--task", "addition", "--task-option", "type=jsonl"], saying: ["--task says which"], in: folder)
            try expectRefusal(["learn", "--dora"], saying: ["belong to a LoRA adapter"], in: folder)
            try expectRefusal(["eval", "--task", "humaneval", "--solutions", "reference", "--samples", "2", "--temperature", "1"], saying: ["one solution"], in: folder)
            try expectRefusal(["eval", "--compare", "broken.gguf", "--json"], saying: ["--json does not go with --compare"], in: folder)
            try expectRefusal(["convert", "--model", "broken.gguf", "--output", "out", "--tokens", "0"], saying: ["--tokens 0: must be 1 or more"], in: folder)
            try expectRefusal(["runs", "replay", "nowhere", "--limit", "-5"], saying: ["--limit -5"], in: folder)
            let sft = ["sft", "--model", "broken.gguf", "--input", "empty.jsonl", "--output", "out"]
            try expectRefusal(sft + ["--objective", "classification", "--template", "Review: {text}"], saying: ["A head reads the text as it is"], in: folder)
            try expectRefusal(sft + ["--objective", "causal", "--words", "a,b"], saying: ["belong to --objective classification"], in: folder)
            try expectRefusal(sft + ["--objective", "span", "--labels", "a,b"], saying: ["--labels belongs to"], in: folder)
            let prefer = ["prefer", "--model", "broken.gguf", "--input", "empty.jsonl", "--output", "out"]
            try expectRefusal(prefer + ["--loss", "dpo", "--noise", "0.3"], saying: ["--noise 0.3: belongs to"], in: folder)
            try expectRefusal(prefer + ["--loss", "dpo", "--likelihood", "2"], saying: ["--likelihood 2.0: belongs to"], in: folder)
            try expectRefusal(prefer + ["--batch", "2000000000"], saying: ["1 to 1000000000"], in: folder)
            try expectRefusal(["prefer", "--model", "x", "--input", "a.jsonl:1e-300", "--input", "b.jsonl:1", "--output", "out"], saying: ["a weight must be from"], in: folder)
            try expectRefusal(prefer + ["--rank", "8", "--alpha", "0"], saying: ["--alpha 0.0: must be above 0"], in: folder)
            try expectRefusal(prefer + ["--resume", "--dry-run"], saying: ["Leave --resume out"], in: folder)
            try expectRefusal(["generate", "--model", "x", "--prompt", "x", "--logprobs", "3"], saying: ["with --json only"], in: folder)
            try expectRefusal(["eval", "--compare", "x", "--limit", "3"], saying: ["--limit does not go with --compare"], in: folder)
            try expectRefusal(["eval", "--model", "x", "--task", "csqa", "--method", "likelihood", "--temperature", "1"], saying: ["nothing is sampled"], in: folder)
            try expectRefusal(["eval", "--model", "x", "--task", "csqa", "--seed", "1"], saying: ["--seed 1: has no effect"], in: folder)
            try expectRefusal(["eval", "--task", "humaneval", "--solutions", "reference", "--temperature", "1"], saying: ["--temperature has no effect"], in: folder)
            try expectRefusal(["eval", "--model", "x", "--task", "csqa", "--options", "text"], saying: ["--options text: belongs to"], in: folder)
            try expectRefusal(["eval", "--model", "x", "--task", "csqa", "--samples", "2000000", "--temperature", "1"], saying: ["1 to 1000000"], in: folder)
            try expectRefusal(["rationales", "--model", "x", "--eval", "x", "--rounds", "3"], saying: ["--rounds: has no effect where nothing is trained"], in: folder)
            try expectRefusal(["rationales", "--model", "x", "--input", "x", "--output", "y", "--soft-rounds", "1"], saying: ["stand before --weights hard"], in: folder)
            let idle = [
                ("recipe: {grpo: {variant: cispo, clipLow: 0.1}}\n", "'recipe.grpo.clipLow' would have no effect"),
                ("workedExamples: 600\n", "0 to 500"), ("task: jsonl\nmodel: x\noptions: {warmUpSteps: 9}\n", "'options.warmUpSteps' would have no effect"),
                ("task: jsonl\nmodel: x\nrecipe: grpo\noptions: {batchSize: 3}\n", "'options.batchSize' would have no effect"),
            ]
            for (text, message) in idle {
                try text.write(toFile: "\(folder)/idle.yaml", atomically: true, encoding: .utf8)
                try expectRefusal(["learn", "--config", "idle.yaml"], saying: ["idle.yaml", message], in: folder)
            }
            try FileManager.default.createDirectory(atPath: "\(folder)/full/notes", withIntermediateDirectories: true)
            try expectRefusal(["learn", "--dry-run", "--output", "full"], saying: ["is not empty and holds no run"], in: folder)
            try expectRefusal(["learn", "--resume", "nowhere"], saying: ["nowhere"], in: folder)
            try expectRefusal(["learn", "--threads", "0"], saying: ["threads"], in: folder)
            try expectRefusal(["generate", "--model", "x", "--prompt", "x", "--top-p", "1.5"], saying: ["top-p", "1.5"], in: folder)
            try expectRefusal(["generate", "--model", "x", "--prompt", "x", "--top-k", "40"], saying: ["--top-k: has no effect at temperature 0"], in: folder)
            try expectRefusal(["runs", "list", "nowhere"], saying: ["nowhere"], in: folder)
            try expectRefusal(["runs", "show", "nowhere"], saying: ["nowhere"], in: folder)
        }
    }

    @Test("a negative number is a number, and its option says what it may be", arguments: [
        (["learn", "--learning-rate", "-1"], "--learning-rate -1.0: must be above 0"), (["rl", "--samples", "-2", "--model", "x"], "--samples -2: must be 1 or more"),
        (["learn", "--task-option", "digits=1", "--seed", "-1"], "-1"), (["eval", "--task", "addition", "--model", "x", "--limit", "-3"], "--limit -3: must be 1 or more"),
        (["generate", "--model", "x", "--prompt", "x", "--temperature", "-0.5"], "temperature"), (["sft", "--model", "x", "--objective", "causal", "--input", "x", "--output", "y", "--learning-rate", "-1e-3"], "--learning-rate -0.001"),
        (["prefer", "--model", "x", "--input", "x", "--output", "y", "--beta", "-1"], "--beta -1.0"), (["reward", "--model", "x", "--input", "x", "--output", "y", "--centring", "-inf"], "--centring -inf"),
        (["self-label", "--model", "x", "--input", "x", "--unlabelled", "x", "--output", "y", "--share", "-1"], "--share -1.0"),
    ])
    func negative(arguments: [String], message: String) throws {
        try Places.withFolder { folder in
            try expectRefusal(arguments, saying: [message], in: folder)
            #expect(!(try autodidact(arguments, in: folder).error.contains("Missing value")))
        }
    }

    @Test("files without records are refused by every verb that learns or measures, and nothing is written", .enabled(if: Places.exists(Places.smolLM) && Places.exists(Places.miniLM), "no models: run scripts/setup.sh models"))
    func empty() throws {
        try Places.withFolder { folder in
            _ = FileManager.default.createFile(atPath: "\(folder)/empty.jsonl", contents: Data())
            try "\n  \n".write(toFile: "\(folder)/blank.jsonl", atomically: true, encoding: .utf8)
            try "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n".write(toFile: "\(folder)/texts.jsonl", atomically: true, encoding: .utf8)
            try "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n".write(toFile: "\(folder)/pairs.jsonl", atomically: true, encoding: .utf8)
            let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            for file in ["empty.jsonl", "blank.jsonl"] {
                for arguments in [
                    ["rl", "--model", Places.smolLM, "--task", "jsonl", "--task-option", "data=\(file)"],
                    ["eval", "--model", Places.smolLM, "--task", "jsonl", "--task-option", "data=\(file)", "--record", "out"],
                    ["reward", "--model", Places.miniLM, "--input", file, "--output", "out"], ["reward", "--model", Places.miniLM, "--input", "pairs.jsonl", "--eval", file, "--output", "out"],
                    ["self-label", "--model", Places.miniLM, "--input", file, "--unlabelled", "texts.jsonl", "--output", "out"],
                    ["self-label", "--model", Places.miniLM, "--input", "texts.jsonl", "--unlabelled", file, "--output", "out"],
                    ["prefer", "--model", Places.smolLM, "--input", file, "--output", "out"], ["prefer", "--model", Places.smolLM, "--input", "pairs.jsonl", "--eval", file, "--output", "out"],
                ] {
                    try expectRefusal(arguments, saying: [file, "holds no"], in: folder)
                    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before, "\(arguments)")
                }
            }
        }
    }

    @Test("two options for one setting, and values that a setting cannot have, are refused with what there is")
    func settings() throws {
        try Places.withFolder { folder in
            try "recipe: {rest-em: {samplesPerProblem: 5}}\n".write(toFile: "\(folder)/five.yaml", atomically: true, encoding: .utf8)
            let small = ["--task-option", "digits=1", "--task-option", "train-count=8"]
            try expectRefusal(["learn", "--recipe", "rest-em", "--samples", "3", "--recipe-option", "samplesPerProblem=5"], saying: ["--samples 3 and --recipe-option samplesPerProblem=5"], in: folder)
            try expectRefusal(["learn", "--recipe", "grpo", "--samples", "3", "--recipe-option", "loop.samplesPerProblem=5"], saying: ["--samples 3 and --recipe-option loop.samplesPerProblem=5"], in: folder)
            try expectRefusal(["learn", "--recipe", "grpo", "--recipe-option", "variant=foo"], saying: ["'foo'", "one of grpo, dapo, dr-grpo, gspo, cispo"], in: folder)
            // The command line overrides a file, and says so.
            let over = try autodidact(["learn", "--config", "five.yaml", "--samples", "3", "--dry-run"] + small, in: folder)
            #expect(over.status == 0 && over.error.contains("five.yaml: recipe.rest-em.samplesPerProblem: 5 is replaced by 3") && over.output.contains("samplesPerProblem: 3"), "\(over.error)")
            let same = try autodidact(["learn", "--config", "five.yaml", "--samples", "5", "--dry-run"] + small, in: folder)
            #expect(same.status == 0 && same.error.isEmpty, "\(same.error)")
            // Of another recipe nothing in the file counts, but for a rate that was meant for the first.
            try "recipe: {rest-em: {samplesPerProblem: 5}}\noptions: {trainer: {optimizer: {learningRate: 0.0001}}}\n".write(toFile: "\(folder)/rate.yaml", atomically: true, encoding: .utf8)
            let other = try autodidact(["learn", "--config", "rate.yaml", "--recipe", "grpo", "--dry-run"] + small, in: folder)
            #expect(other.error.contains("rate.yaml: recipe: rest-em is replaced by grpo") && other.error.contains("rate.yaml: recipe.rest-em.samplesPerProblem: 5 does not count") && other.error.contains("learningRate: 0.0001 was written for rest-em and stays"), "\(other.error)")
        }
    }

    @Test(
        "without bubblewrap a run of generated code does not begin, and says how to get it",
        .enabled(if: Places.exists("/usr/bin/bwrap") && Places.exists("\(Places.data)/mbpp.jsonl"), "needs bubblewrap to hide it, and mbpp.jsonl in the folder named by AUTODIDACT_DATA"))
    func sandbox() throws {
        try Places.withFolder { folder in
            _ = FileManager.default.createFile(atPath: "\(folder)/nothing", contents: Data())
            func hidden(_ hides: Bool, _ arguments: [String]) throws -> Finished {
                let bind = hides ? ["--ro-bind", "\(folder)/nothing", "/usr/bin/bwrap"] : []
                return try Child(["--bind", "/", "/", "--dev-bind", "/dev", "/dev"] + bind + ["--", Places.executable] + arguments, executable: "/usr/bin/bwrap", in: folder).wait()
            }
            // Bubblewrap may be forbidden here.
            guard try hidden(false, ["--version"]).status == 0 else { return }
            let mbpp = ["--task", "mbpp", "--task-option", "data-dir=\(Places.data)"]
            for arguments in [["eval", "--solutions", "reference", "--limit", "2"] + mbpp, ["learn", "--model", Places.smolLM, "--output", "run"] + mbpp, ["learn", "--model", Places.smolLM, "--dry-run"] + mbpp]
            where arguments[0] == "eval" || Places.exists(Places.smolLM) {
                let refused = try hidden(true, arguments)
                #expect(refused.status == 1 && refused.error.contains("/usr/bin/bwrap is missing") && refused.error.contains("apt-get install -y bubblewrap"), "\(refused.error)")
                #expect(!Places.exists("\(folder)/run") && !Places.exists("\(folder)/runs"))
            }
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
