import ArgumentParser
import Autodidact
import Foundation

struct Tag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The tag of each word, by a model with a head of tags.")

    @OptionGroup var opening: ModelOptions

    @Option(parsing: .unconditionalSingleValue, help: "Words with spaces between them; may be given several times.")
    var text: [String] = []

    @Option(help: "A JSONL file of {\"tokens\", and where known \"tags\"}; - is standard input.")
    var input: String?

    @Flag(help: "One JSON object a text.")
    var json = false

    @Flag(help: "Only how many tags of the file are met.")
    var summary = false

    func validate() throws {
        if text.isEmpty == (input == nil) { throw ValidationError("Give --text or --input.") }
        if summary, input == nil { throw ValidationError("--summary: needs an --input with tags.") }
    }

    func run() async throws {
        let typed = text.enumerated().map { TaggedWords(line: $0 + 1, words: $1.split(whereSeparator: \.isWhitespace).map { String($0) }) }
        guard typed.allSatisfy({ !$0.words.isEmpty }) else { throw ValidationError("--text: holds no words.") }
        let read = try input.map { try TaggedWords.read($0, needsTags: summary) } ?? typed
        let tagger = try TokenTagger(opening.open())
        // A file may number the tags, and one of another task is not measured as if none were met.
        let lines = try TaggedWords.named(read, tagger.labels, file: input ?? "")
        var score = TagScore()
        // Some at a time, so that answers appear as they are found.
        for first in stride(from: 0, to: lines.count, by: 64) {
            let part = lines[first..<min(lines.count, first + 64)]
            for (line, tags) in zip(part, try tagger.tag(part.map(\.words))) {
                if let expected = line.tags { score.add(tags.map { $0?.name }, expected: expected) }
                if summary { continue }
                if json {
                    printLine(jsonLine([
                        ("line", .integer(Int64(line.line))), ("tags", .array(tags.map { $0.map { .string($0.name) } ?? .null })),
                        ("logProbabilities", .array(tags.map { $0.map { .number($0.logProbability) } ?? .null })),
                    ]))
                } else {
                    printLine("line \(line.line): " + zip(line.words, tags).map { "\($0)/\($1?.name ?? "–")" }.joined(separator: " "))
                }
            }
        }
        guard score.count > 0 else { return }
        if json {
            printLine(jsonLine([("accuracy", .number(score.accuracy)), ("right", .integer(Int64(score.right))), ("tags", .integer(Int64(score.count))), ("f1", score.f1.map { .number($0) } ?? .null)]))
        } else {
            printLine("\(score)")
        }
    }
}
