import Autodidact
import Foundation
import Testing

/// Heads of tags and of spans, from a JSONL file to what the commands print.
@Suite("Trained heads of tags and spans", .enabled(if: Places.exists("\(Places.miniLM)/model.safetensors"), "no MiniLM: make test fetches it"))
struct TrainedHeadsTests {
    private func write(_ lines: [[String: Any]], to path: String) throws {
        try lines.map { String(decoding: try JSONSerialization.data(withJSONObject: $0, options: .sortedKeys), as: UTF8.self) + "\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test("tags of persons and places are learnt, measured and printed, also of a text longer than the model's context")
    func tags() throws {
        let people = ["Ada", "Grace", "Alan", "Emmy", "Kurt", "Sophie"], places = ["Paris", "London", "New York", "Vienna", "Rome", "Oslo"]
        func sentence(_ person: Int, _ place: Int) -> (words: [String], tags: [String]) {
            let town = places[place].split(separator: " ").map { String($0) }
            return ([people[person], "lives", "in"] + town + ["."], ["B-PER", "O", "O", "B-LOC"] + town.dropFirst().map { _ in "I-LOC" } + ["O"])
        }
        let pairs = (0..<36).map { ($0 / 6, $0 % 6) }, held = { (pair: (Int, Int)) in (pair.0 + pair.1) % 6 == 0 }
        func lines(_ pairs: [(Int, Int)]) -> [[String: Any]] { pairs.map(sentence).map { ["tokens": $0.words, "tags": $0.tags] } }
        try Places.withFolder { folder in
            try write(lines(pairs.filter { !held($0) }), to: "\(folder)/train.jsonl")
            try write(lines(pairs.filter(held)), to: "\(folder)/held.jsonl")
            let trained = try autodidact(
                ["sft", "--model", Places.miniLM, "--objective", "tagging", "--input", "train.jsonl", "--eval", "held.jsonl", "--output", "tagger", "--epochs", "6", "--batch", "6", "--learning-rate", "5e-4"],
                in: folder)
            #expect(trained.status == 0, "\(trained.error)")
            #expect(trained.output.contains("epoch 6: 31 of 31 tags met"), "\(trained.output)")
            let measured = try autodidact(["tag", "--model", "tagger", "--input", "held.jsonl", "--summary", "--json"], in: folder)
            let score = try #require(try JSON.parse(measured.output, source: "tag").object)
            #expect(try #require(score["f1"]?.double) > 0.9, "\(measured.output)")
            // Some 1,000 words, four times what fits.
            let long = (0..<200).map { sentence($0 % 6, $0 / 6 % 6) }
            let text = long.flatMap(\.words).joined(separator: " ")
            let printed = try autodidact(["tag", "--model", "tagger", "--text", text, "--json"], in: folder)
            let tags = try #require(try JSON.parse(printed.output, source: "tag")["tags"]?.array).map(\.string), expected = long.flatMap(\.tags)
            #expect(tags.count == expected.count && !tags.contains(nil))
            #expect(Double(zip(tags, expected).count { $0 == $1 }) > 0.9 * Double(expected.count))
        }
    }

    @Test("spans are learnt, measured and printed, also beyond the model's context")
    func spans() throws {
        let colours = ["red", "blue", "green", "white", "black", "yellow"], things = ["door", "car", "house", "book"]
        let filler = "The weather was fine and nobody was at home when the letter came. "
        func line(_ index: Int, before: Int = 0) -> [String: Any] {
            let colour = colours[index % 6], thing = things[index / 6 % 4]
            let start = String(repeating: filler, count: before) + "They said that the \(thing) is "
            return ["question": "Which colour has the \(thing)?", "context": "\(start)\(colour) today. \(filler)", "answer": colour, "start": start.unicodeScalars.count]
        }
        try Places.withFolder { folder in
            try write((0..<24).filter { $0 % 5 != 0 }.map { line($0, before: $0 % 3) }, to: "\(folder)/train.jsonl")
            try write((0..<24).filter { $0 % 5 == 0 }.map { line($0) }, to: "\(folder)/held.jsonl")
            // 100 sentences of 14 tokens before the answer: three windows.
            try write([line(3, before: 100), line(10, before: 0)], to: "\(folder)/long.jsonl")
            let trained = try autodidact(
                ["sft", "--model", Places.miniLM, "--objective", "span", "--input", "train.jsonl", "--eval", "held.jsonl", "--output", "finder", "--epochs", "12", "--batch", "5", "--learning-rate", "5e-4"],
                in: folder)
            #expect(trained.status == 0, "\(trained.error)")
            #expect(trained.output.contains("epoch 12: 5 of 5 answers met exactly (100.0 %), F1 of words 100.0 %"), "\(trained.output)")
            let answers = try autodidact(["answer", "--model", "finder", "--input", "long.jsonl", "--json"], in: folder)
            let rows = try answers.output.split(separator: "\n").map { try JSON.parse(String($0), source: "answer") }
            #expect(rows.prefix(2).map { $0["answer"]?.string } == ["white", "black"], "\(answers.output) \(answers.error)")
            #expect(rows.first?["start"]?.int == line(3, before: 100)["start"] as? Int)
        }
    }

    @Test("lines that are no words with tags, and no question with its answer, are refused with their number", arguments: [
        ("tagging", "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}", "line 1 has 2 words, but 1 tags"), ("tagging", "{\"tokens\": [], \"tags\": []}", "line 1 has no words in a list 'tokens'"),
        ("tagging", "{\"tokens\": [\"a\"]}", "line 1 has no list 'tags'"), ("span", "{\"question\": \"a\", \"context\": \"b c\", \"answer\": \"c\"}", "line 1 has no start of its answer"), ("span", "{\"question\": \"a\", \"context\": \"b c\"}", "line 1 has no answer"),
        ("span", "{\"question\": \"a\", \"context\": \"b c\", \"answer\": \"c\", \"start\": 1}", "begins at character 1 of the context, where it does not stand"),
        ("span", "{\"question\": \"a\", \"context\": \"b c\", \"answer\": \"c\", \"start\": 9223372036854775807}", "where it does not stand"),
    ])
    func refusals(objective: String, line: String, message: String) throws {
        try Places.withFolder { folder in
            try line.write(toFile: "\(folder)/data.jsonl", atomically: true, encoding: .utf8)
            let result = try autodidact(["sft", "--model", Places.miniLM, "--objective", objective, "--input", "data.jsonl", "--output", "out"], in: folder)
            #expect(result.status == 1 && result.error.contains(message), "\(result.error)")
            #expect(!Places.exists("\(folder)/out"))
        }
    }

    @Test("an empty conversation has no mask to show, and one class is nothing to learn", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"))
    func nothingThere() throws {
        try Places.withFolder { folder in
            try "[]".write(toFile: "\(folder)/none.json", atomically: true, encoding: .utf8)
            let template = try autodidact(["template", "--model", Places.smolLM, "none.json", "--show-mask"], in: folder)
            #expect(template.status == 1 && template.error.contains("holds no messages"), "\(template.error)")
            try write([["text": "nice", "label": "neutral"]], to: "\(folder)/one.jsonl")
            let one = try autodidact(["sft", "--model", Places.miniLM, "--objective", "classification", "--input", "one.jsonl", "--output", "out"], in: folder)
            #expect(one.status == 1 && one.error.contains("one class only: neutral"), "\(one.error)")
        }
    }

    @Test("what is cut is said, and labels that are none are refused where labels matter")
    func notices() throws {
        try Places.withFolder { folder in
            let long = String(repeating: "word ", count: 700)
            try write([["text": long, "label": 1.5], ["text": "short", "label": "a"]], to: "\(folder)/texts.jsonl")
            let embedded = try autodidact(["embed", "--model", Places.miniLM, "--input", "texts.jsonl", "--similarity"], in: folder)
            #expect(embedded.status == 0 && embedded.error.contains("1 of 2 texts are longer"), "\(embedded.error)")
            let refused = try autodidact(["classify", "--model", Places.miniLM, "--labels", "a,b", "--input", "texts.jsonl"], in: folder)
            #expect(refused.status == 1 && refused.error.contains("line 1 has the label 1.5, which is neither a name nor a whole number"), "\(refused.error)")
            try write([["text": long, "label": "b"], ["text": "short", "label": "a"]], to: "\(folder)/train.jsonl")
            let trained = try autodidact(["sft", "--model", Places.miniLM, "--objective", "classification", "--input", "train.jsonl", "--epochs", "1", "--max-tokens", "16", "--output", "out"], in: folder)
            #expect(trained.status == 0 && trained.error.contains("1 examples fill the 16 tokens of --max-tokens"), "\(trained.error)")
        }
    }

    @Test("a conversion that is stopped leaves nothing behind, at whatever instant", arguments: [("out.gguf", 0.1), ("out.gguf", 0.4), ("folder", 0.1), ("folder", 0.3)])
    func stopped(output: String, seconds: Double) throws {
        try Places.withFolder { folder in
            let result = try autodidact(["convert", "--model", Places.miniLM, "--output", output, "--type", "f16"], in: folder, interruptAfter: seconds)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            // Stopped while it compared, or not at all: what was written is whole.
            if left.contains(output) {
                #expect(try Model(path: "\(folder)/\(output)", on: CPUBackend()).transformer.parameterCount > 0)
            } else {
                #expect(result.status == 130 || result.status == SIGINT, "\(result)")
            }
            #expect(left.allSatisfy { $0 == output }, "\(left)")
        }
    }

    @Test("an adapter that says the words of classes is asked as it was trained", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"))
    func form() throws {
        try Places.withFolder { folder in
            try write((0..<4).map { ["text": $0 % 2 == 0 ? "a fine film" : "an awful film", "label": $0 % 2 == 0 ? "positive" : "negative"] }, to: "\(folder)/train.jsonl")
            let trained = try autodidact(
                ["sft", "--model", Places.smolLM, "--objective", "classification", "--method", "likelihood", "--labels", "negative,positive", "--words", "bad,good", "--template", "{text} It was",
                 "--input", "train.jsonl", "--rank", "2", "--epochs", "1", "--output", "adapter"], in: folder)
            #expect(trained.status == 0, "\(trained.error)")
            let asking = ["classify", "--model", Places.smolLM, "--input", "train.jsonl", "--json"]
            let asked = try autodidact(asking + ["--adapter", "adapter"], in: folder)
            let same = try autodidact(asking + ["--adapter", "adapter", "--labels", "negative,positive", "--words", "bad,good", "--template", "{text} It was"], in: folder)
            func lines(_ result: Finished) -> [Substring] { result.output.split(separator: "\n").filter { $0.contains("\"line\"") } }
            #expect(asked.status == 0 && lines(asked).count == 4 && lines(asked) == lines(same), "\(asked.output) \(asked.error)")
            #expect(try autodidact(asking, in: folder).error.contains("--labels"))
        }
    }
}

@Suite("Scores of tags and spans")
struct TagAndSpanScoreTests {
    @Test("scores count as CoNLL and SQuAD do")
    func scores() {
        var tags = TagScore()
        tags.add(["B-PER", "I-PER", "O", "B-LOC"], expected: ["B-PER", "I-PER", "O", "B-PER"])
        tags.add(["B-LOC", "B-LOC", nil], expected: ["B-LOC", "I-LOC", "O"])
        #expect(tags.right == 4 && tags.count == 7 && tags.entities == 3 && tags.entitiesFound == 4 && tags.entitiesMet == 1)
        #expect(tags.f1 == 2.0 / 7)
        var longer = TagScore()
        longer.add(["B-PER", "O", "S-LOC"], expected: ["B-PER", "E-PER", "S-LOC"])
        #expect(longer.entities == 2 && longer.entitiesFound == 2 && longer.entitiesMet == 1)
        longer.add(["NOUN"], expected: ["VERB"])
        #expect(longer.f1 == nil && longer.count == 4)
        var spans = SpanScore()
        spans.add("The red, car!", expected: ["red car", "car"])
        spans.add("a big car", expected: ["red car"])
        spans.add("x", expected: ["y"])
        #expect(spans.exact == 1 && abs(spans.f1 - (1 + 0.5 + 0) / 3) < 1e-12)
    }
}
