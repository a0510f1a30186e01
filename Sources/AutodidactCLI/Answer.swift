import ArgumentParser
import Autodidact
import Foundation

struct Answer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The words of a context that answer a question, by a model with a head of spans.")

    @OptionGroup var opening: ModelOptions

    @Option(parsing: .unconditional, help: "A question about --context.")
    var question: String?

    @Option(parsing: .unconditional, help: "The text that holds the answer.")
    var context: String?

    @Option(help: "A JSONL file of {\"question\", \"context\", and where known \"answer\"}, or as SQuAD's lines; - is standard input.")
    var input: String?

    @Option(name: .customLong("max-tokens"), help: "The longest answer.")
    var maxTokens: Int = 30

    @Flag(help: "One JSON object a question.")
    var json = false

    @Flag(help: "Only how many answers of the file are met.")
    var summary = false

    func validate() throws {
        if maxTokens < 1 { throw ValidationError("--max-tokens \(maxTokens): must be 1 or more.") }
        guard input == nil ? question != nil && context != nil : question == nil && context == nil else { throw ValidationError("Give --question and --context, or --input.") }
        if summary, input == nil { throw ValidationError("--summary: needs an --input with answers.") }
    }

    func run() async throws {
        let questions = try input.map { try SpanQuestion.read($0, needs: summary ? .answer : .nothing) } ?? [SpanQuestion(line: 1, question: question!, context: context!)]
        var finder = try SpanFinder(opening.open())
        finder.longest = maxTokens
        if let input { try finder.check(questions, file: input) }
        var score = SpanScore()
        // Some at a time, so that answers appear as they are found.
        for first in stride(from: 0, to: questions.count, by: 32) {
            let part = questions[first..<min(questions.count, first + 32)]
            for (question, span) in zip(part, try finder.find(part.map { ($0.question, $0.context) })) {
                if !question.answers.isEmpty { score.add(span.text, expected: question.answers) }
                if summary { continue }
                if json {
                    printLine(jsonLine([
                        ("line", .integer(Int64(question.line))), ("answer", .string(span.text)), ("start", .integer(Int64(span.range.lowerBound))),
                        ("logProbability", .number(span.logProbability)),
                    ]))
                } else {
                    printLine("line \(question.line): \(span.text) (\(String(percent: fixedExp(span.logProbability))))")
                }
            }
        }
        guard score.count > 0 else { return }
        if json {
            printLine(jsonLine([("exact", .number(score.exactShare)), ("f1", .number(score.f1)), ("answers", .integer(Int64(score.count)))]))
        } else {
            printLine("\(score)")
        }
    }
}
