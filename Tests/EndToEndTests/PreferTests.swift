import Autodidact
import Foundation
import Testing

@Suite("Preferences by command", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"))
struct PreferTests {
    private func write(_ pairs: [(String, String, String)], to path: String) throws {
        let lines = pairs.map { JSON.object(JSONObject([("prompt", .string($0.0)), ("chosen", .string($0.1)), ("rejected", .string($0.2))])).text() + "\n" }
        try lines.joined().write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test("a real model with an adapter learns to prefer answers of its kind, and the adapter opens again")
    func learns() throws {
        let fruits = ["apples", "pears", "plums", "grapes", "figs", "dates", "limes", "cherries"]
        let pairs = fruits.map { ("Do you like \($0)?", "Yes, I like \($0) very much.", "No, I dislike \($0).") }
        try Places.withFolder { folder in
            // Against what the model would say: the rejected answers are chosen.
            try write(pairs.dropLast(2).map { ($0.0, $0.2, $0.1) }, to: "\(folder)/train.jsonl")
            try write(pairs.suffix(2).map { ($0.0, $0.2, $0.1) }, to: "\(folder)/held.jsonl")
            let result = try autodidact(
                ["prefer", "--model", Places.smolLM, "--input", "train.jsonl", "--eval", "held.jsonl", "--rank", "4", "--epochs", "3", "--batch", "3", "--learning-rate", "3e-4", "--chat", "--output", "adapter"],
                in: folder)
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("before: 0 of 2 chosen answers preferred (0.0 %), margin 0.0;"), "\(result.output)")
            #expect(result.output.contains("epoch 3: 2 of 2 chosen answers preferred"), "\(result.output)")
            #expect(try autodidact(["generate", "--model", Places.smolLM, "--adapter", "adapter", "--prompt", "a", "--max-tokens", "1"], in: folder).status == 0)
        }
    }

    @Test("lines that are no pairs are refused with their number, and options with their range", arguments: [
        ([("a", "b", "b")], [String](), "line 1 has the same text as 'chosen' and 'rejected'"), ([("a", "b", "c")], ["--beta", "0"], "--beta 0.0: must be above 0"),
        ([("a", "b", "c")], ["--loss", "exo", "--noise", "0.7"], "--noise 0.7"), ([("a", "b", "c")], ["--margin", "1"], "--margin 1.0: belongs to --loss simpo or slic"),
        ([("a", "b", "c")], ["--loss", "nothing"], "nothing"),
    ])
    func refusals(pairs: [(String, String, String)], options: [String], message: String) throws {
        try Places.withFolder { folder in
            try write(pairs, to: "\(folder)/pairs.jsonl")
            let result = try autodidact(["prefer", "--model", Places.smolLM, "--input", "pairs.jsonl", "--rank", "2", "--output", "out"] + options, in: folder)
            #expect(result.status != 0 && result.error.contains(message), "\(result.error)")
            #expect(!Places.exists("\(folder)/out"))
        }
    }
}
