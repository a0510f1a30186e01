import Foundation
import Testing

/// A masked model that chooses among three rationales of each question, through the command line.
@Suite("Choosing rationales", .enabled(if: Places.exists(Places.executable) && Places.exists(Places.miniLM), "no executable or no MiniLM: run scripts/setup.sh models and build the product autodidact"))
struct RationalesTests {
    /// One of the three sentences says what the label is.
    private func lines(_ range: Range<Int>, hasRationales: Bool = true, labels: [String] = ["food", "machine"]) -> String {
        let told = [["soup", "bread", "rice", "cake", "salad", "fish"].map { "They ate \($0)." }, ["engine", "pump", "motor", "drill", "crane", "valve"].map { "They mended the \($0)." }]
        let empty = ["It was a day in May.", "Nobody came late.", "The door was open.", "It rained a little."]
        return range.map { index in
            let kind = index % 2
            var rationales = [empty[index % 4], empty[(index + 1) % 4]]
            rationales.insert(told[kind][index / 2 % 6], at: index % 3)
            let list = (hasRationales ? rationales : [""]).map { "\"\($0)\"" }.joined(separator: ", ")
            return "{\"question\": \"What is report \(index) about?\", \"rationales\": [\(list)], \"label\": \"\(labels[kind])\"}\n"
        }.joined()
    }

    private func write(_ text: String, to path: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

    private func arguments(_ input: String, _ output: String) -> [String] { ["rationales", "--model", Places.miniLM, "--input", input, "--output", output, "--rounds", "1", "--batch", "2"] }

    @Test("a round weighs, trains and measures; what was written opens again, measures the same, and names a rationale for each answer")
    func learns() throws {
        try Places.withFolder { folder in
            try write(lines(0..<8), to: "\(folder)/train.jsonl")
            try write(lines(8..<12), to: "\(folder)/dev.jsonl")
            let trained = try autodidact(arguments("train.jsonl", "out") + ["--eval", "dev.jsonl"], in: folder)
            #expect(trained.status == 0, "\(trained.error)")
            let rounds = trained.output.split(separator: "\n").filter { $0.hasPrefix("round") }
            #expect(rounds.count == 2 && rounds[0].hasPrefix("round 0: as it begins; ") && rounds[1].hasPrefix("round 1: 8 of 8 questions trained, 60 updates; "), "\(trained.output)")
            #expect(!trained.output.contains("degenerate"))
            let answered = try autodidact(["rationales", "--model", "out", "--eval", "dev.jsonl"], in: folder), answers = answered.output.split(separator: "\n")
            #expect(answered.status == 0 && answers.count == 5, "\(answered.output) \(answered.error)")
            #expect(answers.dropLast().enumerated().allSatisfy { $1.hasPrefix("line \($0 + 1): ") && $1.contains(", by rationale ") }, "\(answered.output)")
            #expect(rounds.count == 2 && rounds[1].hasSuffix("; --eval: \(answers.last ?? "")"), "\(trained.output) \(answered.output)")
            let classified = try autodidact(["classify", "--model", "out", "--input", "dev.jsonl", "--text-field", "question", "--summary"], in: folder)
            #expect(classified.status == 0 && classified.output.contains("of 4 labels met"), "\(classified.error)")
        }
    }

    @Test("without rationales the output says that this is no self-improvement")
    func degenerate() throws {
        try Places.withFolder { folder in
            try write(lines(0..<4, hasRationales: false), to: "\(folder)/train.jsonl")
            let result = try autodidact(arguments("train.jsonl", "out"), in: folder)
            #expect(result.status == 0 && result.output.contains("degenerate: no question has two rationales") && result.output.contains("no self-improvement"), "\(result.output) \(result.error)")
            #expect(result.output.contains("greatest weight 1.0 on average"), "\(result.output)")
        }
    }

    @Test("lines, labels, folders and options that do not fit are refused before anything is written")
    func refusals() throws {
        try Places.withFolder { folder in
            try write(lines(0..<4), to: "\(folder)/train.jsonl")
            try write(lines(0..<2, labels: ["food", "plant"]), to: "\(folder)/other.jsonl")
            try write(lines(0..<2, labels: ["food", "food"]), to: "\(folder)/one.jsonl")
            try write("{\"question\": \"q\", \"rationales\": [], \"label\": \"food\"}\n", to: "\(folder)/empty.jsonl")
            let cases: [(arguments: [String], message: String)] = [
                (arguments("empty.jsonl", "out"), "line 1 has an empty list 'rationales'"),
                (arguments("one.jsonl", "out"), "not two or more"),
                (arguments("train.jsonl", "out") + ["--eval", "other.jsonl"], "line 2 has the label 'plant', but the classes are food, machine"),
                (arguments("train.jsonl", "out") + ["--labels", "food,plant"], "line 2 has the label 'machine'"),
                (arguments("train.jsonl", "out") + ["--method", "likelihood"], "does not write text"),
                (arguments("train.jsonl", "out") + ["--weights", "hardest"], "hardest"),
                (arguments("train.jsonl", "out") + ["--summary"], "--summary"),
                (["rationales", "--model", Places.miniLM, "--eval", "train.jsonl"], "has no rationales.json"),
                (["rationales", "--model", Places.miniLM, "--input", "train.jsonl"], "give both"),
                (["rationales", "--model", Places.miniLM], "--eval"),
            ]
            for (arguments, message) in cases {
                let result = try autodidact(arguments, in: folder)
                #expect(result.status != 0 && result.error.contains(message), "\(arguments): \(result.error)")
                #expect(!Places.exists("\(folder)/out"))
            }
        }
    }
}
