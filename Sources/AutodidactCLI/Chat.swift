import ArgumentParser
import Autodidact
import Foundation

struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Talk with a model, line by line; an empty line or Ctrl-D ends.")

    @OptionGroup var opening: ModelOptions

    @Option(help: "A message that sets the scene.")
    var system: String?

    @Option(name: .customLong("max-tokens"), help: "The most tokens of one answer.")
    var maxTokens: Int = 512

    @OptionGroup var sampling: SamplingArguments

    func validate() throws {
        if maxTokens < 1 { throw ValidationError("--max-tokens \(maxTokens): must be 1 or more.") }
    }

    func run() async throws {
        let model = try opening.open()
        let generator = Generator(model)
        // Grows by tokens: an answer stays as it was sampled.
        var conversation: [Int32] = [], answer: [Int32]?
        var turn = 0
        let isTerminal = isatty(0) == 1
        while true {
            if isTerminal { printNow("> ") }
            guard let line = readLine(), !line.isEmpty else { break }
            let prompt: [Int32]
            do {
                if let answer {
                    prompt = try conversation + model.encode([("user", line)], after: answer)
                } else {
                    let opening: [(role: String, content: String)] = system.map { [("system", $0)] } ?? []
                    prompt = try model.encode(opening + [("user", line)])
                }
                let context = model.transformer.configuration.maxPositionEmbeddings
                guard prompt.count < context else {
                    throw FileError(file: "the conversation", problem: "would have \(prompt.count) tokens with this line, but the model's context is \(context)", advice: "Say it in fewer words, or begin again.")
                }
            } catch let error as FileError where isTerminal && model.tokenizer.chatTemplate != nil {
                printError("\(error)")  // the conversation goes on without this line
                continue
            }
            turn += 1
            let request = GenerationRequest(
                promptTokens: prompt, options: sampling.options, maxTokens: maxTokens, stopTokens: model.stopTokens,
                key: RandomKey(seed: sampling.seed).folding("chat").folding(turn))
            var stream = DecodeStream(model.tokenizer, skipSpecialTokens: true)
            let completion = try generator.run([request], onToken: { _, _, token in if !model.stopTokens.contains(token), let text = stream.step(token) { printNow(text) } })[0]
            if let rest = stream.finish() { printNow(rest) }
            printLine(completion.finishReason == .length ? " […cut off at \(completion.tokens.count) tokens]" : "")
            conversation = prompt + completion.tokens
            answer = completion.tokens
        }
    }
}
