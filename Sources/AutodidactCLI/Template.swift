import ArgumentParser
import Autodidact
import Foundation

struct Template: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A conversation through a model's chat template, and what of it is trained.",
        discussion: "The file holds a list of {\"role\", \"content\"}, or an object with \"messages\" and perhaps \"tools\".")

    @Option(help: "A model folder or a GGUF file; its weights are not read.")
    var model: String

    @Argument(help: "A JSON file; - is standard input.")
    var messages: String

    @Flag(name: .customLong("show-mask"), help: "Mark what is trained: what assistants say, with the token that ends each answer.")
    var showMask = false

    @Flag(name: .customLong("generation-prompt"), help: "End where the assistant's next answer begins.")
    var generationPrompt = false

    @Flag(help: "One JSON object: the text, the tokens, and with --show-mask whether each is trained.")
    var json = false

    func validate() throws {
        if generationPrompt, showMask { throw ValidationError("--show-mask: of a conversation that ends with --generation-prompt nothing is trained. Give one of the two.") }
    }

    func run() async throws {
        let data = messages == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: messages)
        guard let data else { throw FileError(file: messages, problem: "cannot be read", advice: "Give the path of a JSON file with messages.") }
        let value = try JSON.parse(data, source: messages)
        guard let list = value.array ?? value["messages"]?.array, !list.isEmpty else { throw FileError(file: messages, problem: "holds no messages", advice: "Write [{\"role\": \"user\", \"content\": \"…\"}].") }
        let conversations = try ConversationReader(model)
        func rendered<Result>(_ body: () throws -> Result) throws -> Result {
            do { return try body() } catch let error as ChatTemplateError {
                throw FileError(file: messages, problem: "cannot be written as a conversation by the template of \(model): \(error)", advice: "Check the roles of the messages and their order.")
            }
        }
        if generationPrompt {
            let text = try rendered { try conversations.text(list, tools: value["tools"]?.array) }
            return printLine(json ? jsonLine([("text", .string(text))]) : text)
        }
        let masked = try rendered { try conversations.masked(list, tools: value["tools"]?.array) }
        if json {
            printLine(jsonLine([
                ("text", .string(masked.text)), ("tokens", .array(masked.tokens.map { .integer(Int64($0)) })),
                ("trained", .array(masked.trained.map { .bool($0) })), ("unfinishedTurns", .array(masked.unfinished.map { .integer(Int64($0)) })),
            ]))
        } else if showMask {
            // Stretches of tokens are decoded together: a character may be more than one.
            var shown = "", start = 0
            // A template may write nothing.
            for end in masked.tokens.indices.map({ $0 + 1 }) where end == masked.tokens.count || masked.trained[end] != masked.trained[start] {
                let text = conversations.tokenizer.decode(Array(masked.tokens[start..<end]))
                shown += masked.trained[start] ? "⟦\(text)⟧" : text
                start = end
            }
            printLine(shown)
            printLine("\(masked.trained.count { $0 }) of \(masked.tokens.count) tokens are trained: those in ⟦ ⟧")
            for turn in masked.unfinished { printLine("warning: trained turn \(turn + 1) does not end with a token that ends a turn") }
        } else {
            printLine(masked.text)
        }
    }
}
