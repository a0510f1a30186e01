import ArgumentParser
import Autodidact

struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Continue a prompt, or answer it with --chat.")

    @OptionGroup var opening: ModelOptions

    @Option(parsing: .unconditional, help: "What to continue.")
    var prompt: String

    @Flag(help: "Put the prompt to the model as a user's message, through its chat template.")
    var chat = false

    @Option(name: .customLong("max-tokens"), help: "The most tokens to add.")
    var maxTokens: Int = 128

    @Option(help: "Text that ends the answer; may be given several times.")
    var stop: [String] = []

    @Option(help: "Report this many of the most likely tokens at every position (with --json).")
    var logprobs: Int = 0

    @Flag(help: "One JSON object instead of text.")
    var json = false

    @OptionGroup var sampling: SamplingArguments

    func validate() throws {
        if maxTokens < 1 { throw ValidationError("--max-tokens \(maxTokens): must be 1 or more.") }
        if logprobs > 0, !json { throw ValidationError("--logprobs \(logprobs): are shown with --json only.") }
        if !(0...100).contains(logprobs) { throw ValidationError("--logprobs \(logprobs): must be 0 to 100.") }
    }

    func run() async throws {
        let model = try opening.open()
        let tokens = try chat ? model.encode([("user", prompt)]) : model.encode(prompt)
        let request = GenerationRequest(
            promptTokens: tokens, options: sampling.options, maxTokens: maxTokens, stopTokens: model.stopTokens, stopStrings: stop,
            key: RandomKey(seed: sampling.seed).folding("generate"), alternatives: json ? logprobs : 0)
        var stream = DecodeStream(model.tokenizer, skipSpecialTokens: true)
        // A stop string must not appear even in part, so with one nothing is shown before it is ruled out.
        let streams = !json && stop.isEmpty
        let completion = try Generator(model).run([request], onToken: { _, _, token in
            if streams, !model.stopTokens.contains(token), let text = stream.step(token) { printNow(text) }
        })[0]
        if json {
            printLine(jsonLine(report(completion, model, promptTokens: tokens.count)))
        } else if streams {
            if let rest = stream.finish() { printNow(rest) }
            printLine()
        } else {
            printLine(completion.text)
        }
    }

    private func report(_ completion: Completion, _ model: Model, promptTokens: Int) -> [(key: String, value: JSON)] {
        var members: [(key: String, value: JSON)] = [
            ("text", .string(completion.text)), ("finish_reason", .string(completion.finishReason.rawValue)),
            ("tokens", .array(completion.tokens.map { .integer(Int64($0)) })),
            ("logprobs", .array(completion.logProbabilities.map { .number(Double($0)) })),
            ("usage", ["prompt_tokens": .integer(Int64(promptTokens)), "completion_tokens": .integer(Int64(completion.tokens.count))]),
        ]
        if logprobs > 0 {
            members.append(("top_logprobs", .array(completion.alternatives.map { position in
                .array(position.map { choice in
                    ["token": .string(model.tokenizer.decode([choice.token])), "id": .integer(Int64(choice.token)), "logprob": .number(Double(choice.logProbability))]
                })
            })))
        }
        return members
    }
}
