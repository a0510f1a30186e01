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

    /// Lines of a loss that reads more than pairs, of the first six fruits and of the last two: what the model would rather not say is right.
    private func lines(_ form: String) -> (train: String, held: String) {
        let lines = ["apples", "pears", "plums", "grapes", "figs", "dates", "limes", "cherries"].map { fruit in
            let prompt = "\"prompt\": \"Do you like \(fruit)?\"", right = "\"No, I dislike \(fruit).\"", wrong = "\"Yes, I like \(fruit) very much.\""
            return switch form {
            case "verdicts": "{\(prompt), \"completion\": \(right), \"label\": true}\n{\(prompt), \"completion\": \(wrong), \"label\": false}\n"
            case "scores": "{\(prompt), \"completions\": [\(wrong), \(right)], \"scores\": [-0.5, 2]}\n"
            default: "{\(prompt), \"chosen\": \(right), \"rejected\": \(wrong)}\n"
            }
        }
        return (lines.dropLast(2).joined(), lines.suffix(2).joined())
    }

    @Test("what learns from single answers, rankings and hindsight makes better answers likelier beside worse ones", arguments: [
        ("kto", "verdicts"), ("kto", "pairs"), ("unlikelihood", "verdicts"), ("unlikelihood", "pairs"), ("rrhf", "scores"), ("hindsight", "pairs"), ("hindsight", "scores"),
    ])
    func learnsFromWrongAnswers(loss: String, form: String) throws {
        try Places.withFolder { folder in
            let (train, held) = lines(form)
            try train.write(toFile: "\(folder)/train.jsonl", atomically: true, encoding: .utf8)
            try held.write(toFile: "\(folder)/held.jsonl", atomically: true, encoding: .utf8)
            let result = try autodidact(
                ["prefer", "--model", Places.smolLM, "--loss", loss, "--input", "train.jsonl", "--eval", "held.jsonl", "--keep", "last", "--rank", "4", "--epochs", "5", "--batch", "3", "--learning-rate", "5e-4", "--chat", "--output", "adapter"],
                in: folder)
            #expect(result.status == 0, "\(result.error)")
            // How far the best answers are ahead of the others, before and after.
            let ahead = result.output.matches(of: /best (-[0-9.]+), others (-[0-9.]+)/).map { (Double($0.1) ?? .nan) - (Double($0.2) ?? .nan) }
            #expect(ahead.count == 6 && (ahead.last ?? .nan) > (ahead.first ?? .nan), "\(result.output)")
            #expect(result.output.contains("ask it for good answers: a user's message ends with a paragraph 'A good answer:'") == (loss == "hindsight"))
        }
    }

    @Test("files that a loss cannot learn from are refused with the line and what to write", arguments: [
        ("kto", #"{"prompt": "a", "completion": "b"}"#, "line 1 has no 'label'"), ("kto", #"{"prompt": "a", "completion": "b", "label": "yes"}"#, "line 1 has a 'label' that is a string, not true or false"),
        ("kto", #"{"prompt": "a", "text": "b"}"#, "line 1 has the fields prompt, text, which are of no form that is read here"),
        ("kto", #"{"prompt": "a", "completion": "b", "label": true}"#, "holds no wrong answer"), ("unlikelihood", #"{"prompt": "a", "completion": "b", "label": false}"#, "holds no right answer"),
        ("unlikelihood", #"{"prompt": "a", "completions": ["b", "c"], "scores": [1, 2]}"#, "Write {\"prompt\": …, \"completion\": …, \"label\": true or false}"),
        ("rrhf", #"{"prompt": "a", "completions": ["b", "c"], "scores": [1]}"#, "line 1 has 1 scores for 2 completions"), ("rrhf", #"{"prompt": "a", "completions": ["b"], "scores": [1]}"#, "no two or more texts"),
        ("hindsight", #"{"prompt": "a", "completions": ["b", "c"], "scores": [1, 1]}"#, "holds no line in which one answer is better"), ("hindsight", #"{"prompt": "a", "chosen": "b"}"#, "line 1 has no text 'rejected'"),
        ("dpo", #"{"prompt": "a", "completion": "b", "label": true}"#, "line 1 has no text 'chosen'"),
    ])
    func wrongFiles(loss: String, line: String, message: String) throws {
        try Places.withFolder { folder in
            try (line + "\n").write(toFile: "\(folder)/lines.jsonl", atomically: true, encoding: .utf8)
            let result = try autodidact(["prefer", "--model", Places.smolLM, "--loss", loss, "--input", "lines.jsonl", "--rank", "2", "--output", "out"], in: folder)
            #expect(result.status == 1 && result.error.contains(message), "\(result.error)")
            #expect(!Places.exists("\(folder)/out"))
        }
    }

    @Test("options of another loss are refused", arguments: [
        (["--loss", "rrhf", "--beta", "0.1"], "--loss rrhf has none"), (["--loss", "dpo", "--wrong-weight", "1"], "belongs to --loss kto or unlikelihood"), (["--loss", "kto", "--wrong-weight", "0"], "must be above 0"),
        (["--loss", "kto", "--good-phrase", "x"], "--good-phrase: belongs to --loss hindsight"), (["--loss", "hindsight", "--forgetting", "1"], "below 1"),
        (["--loss", "hindsight", "--bad-phrase", "A good answer:"], "must be two different texts"),
    ])
    func options(given: [String], message: String) throws {
        try Places.withFolder { folder in
            let result = try autodidact(["prefer", "--model", Places.smolLM, "--input", "lines.jsonl", "--output", "out"] + given, in: folder)
            #expect(result.status == 64 && result.error.contains(message), "\(result.error)")
        }
    }
}
