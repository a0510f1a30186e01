import ArgumentParser
import Autodidact
import Foundation

struct Fill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What a masked model would write in place of its masks.")

    @OptionGroup var opening: ModelOptions

    @Option(parsing: .unconditional, help: "A text with {mask}, or the model's own mask token, where words are to be filled in.")
    var text: String

    @Option(help: "The most likely words to show for each mask.")
    var top: Int = 5

    @Flag(help: "One JSON object a mask.")
    var json = false

    func validate() throws {
        if !(1...1000).contains(top) { throw ValidationError("--top \(top): must be 1 to 1000.") }
    }

    func run() async throws {
        let filler = try MaskFiller(opening.open())
        for (index, words) in try filler.fill(text, count: top).enumerated() {
            if json {
                printLine(jsonLine([
                    ("mask", .integer(Int64(index + 1))),
                    ("words", .array(words.map { .object(JSONObject([("text", .string($0.text)), ("token", .integer(Int64($0.token))), ("logProbability", .number(Double($0.logProbability)))])) })),
                ]))
            } else {
                for word in words { printLine("mask \(index + 1): \(String(format: "%5.1f", fixedExp(Double(word.logProbability)) * 100)) %  \(word.text.trimmingCharacters(in: .whitespaces))") }
            }
        }
    }
}
