import ArgumentParser
import Autodidact

struct Score: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Log-likelihood, perplexity and bits per byte of texts; or rewards of answers.",
        discussion: """
            Of a masked model the pseudo-log-likelihood: of each token with that token masked, summed. Of a model that 'autodidact reward' has trained the reward of each \
            {"prompt", "answer"}.
            """)

    @OptionGroup var opening: ModelOptions

    @Option(help: "A JSONL file with one {\"text\"} a line, or for a reward model one {\"prompt\", \"answer\"}; - is standard input.")
    var input: String

    @Flag(help: "One JSON object a line.")
    var json = false

    func run() async throws {
        // The texts are checked before the model is loaded: that takes longer.
        var texts: [(line: Int, text: String)] = []
        let lines = try JSONL.objects(path: input)
        if lines[0].object["text"] == nil, lines[0].object["prompt"] != nil {
            return try printRewards(lines.map { line, object in
                guard let prompt = object["prompt"]?.string, let answer = object["answer"]?.string else {
                    throw refusal(line, "has no strings \"prompt\" and \"answer\"", "Write {\"prompt\": \"…\", \"answer\": \"…\"} on every line.")
                }
                return (line, prompt, answer)
            })
        }
        for (line, object) in lines {
            guard let text = object["text"]?.string else { throw refusal(line, "has no string \"text\"", "Write {\"text\": \"…\"} on every line.") }
            texts.append((line, text))
        }
        let model = try opening.open()
        let c = model.transformer.configuration
        guard c.purpose == .languageModel, c.encoderLayers == nil, c.isCausal || model.maskToken != nil else {
            throw FileError(file: opening.model, problem: "is of type '\(c.modelType)' and of a class that gives no law over words", advice: "Score texts with a generative or a masked language model.")
        }
        let context = model.transformer.configuration.maxPositionEmbeddings
        let encoded = try texts.map { line, text in
            let ids: [Int32]
            do { ids = try model.encode(text) } catch let error as FileError { throw refusal(line, "cannot be read: the model \(error.problem)", error.advice) }
            guard ids.count <= context else { throw refusal(line, "has \(ids.count) tokens, but the model's context is \(context)", "Split the text.") }
            return ids
        }
        for ((line, text), ids) in zip(texts, encoded) {
            let likelihood = try c.isCausal
                ? TextLikelihood(of: ids, bytes: text.utf8.count, under: model.transformer) : TextLikelihood(masking: text, by: MaskFiller(model))
            if json {
                printLine(jsonLine([
                    ("tokens", .integer(Int64(likelihood.tokens))), (c.isCausal ? "logLikelihood" : "pseudoLogLikelihood", .number(likelihood.logLikelihood)),
                    ("perplexity", likelihood.perplexity.map { .number($0) } ?? .null), ("bitsPerByte", likelihood.bitsPerByte.map { .number($0) } ?? .null),
                ]))
            } else {
                func number(_ value: Double?) -> String { value.map { ($0 * 1e4).rounded() / 1e4 }.map { "\($0)" } ?? "–" }
                printLine("line \(line): \(likelihood.tokens) tokens, \(c.isCausal ? "" : "pseudo-")log-likelihood \(number(likelihood.logLikelihood)), perplexity \(number(likelihood.perplexity)), \(number(likelihood.bitsPerByte)) bits per byte")
            }
        }
    }

    private func refusal(_ line: Int, _ problem: String, _ advice: String) -> FileError {
        FileError(file: input == "-" ? "standard input" : input, problem: "line \(line) \(problem)", advice: advice)
    }

    private func printRewards(_ answers: [(line: Int, prompt: String, text: String)]) throws {
        let reward = try RewardModel(opening.open(), form: RewardModel.Form.read(from: opening.adapter ?? opening.model))
        let examples = try answers.map { line, prompt, text in
            do { return try reward.example(prompt: prompt, answer: text) } catch let error as FileError { throw refusal(line, "cannot be read: \(error.file) \(error.problem)", error.advice) }
        }
        for ((line, _, _), value) in zip(answers, reward.rewards(examples)) {
            printLine(json ? jsonLine([("line", .integer(Int64(line))), ("reward", .number(value))]) : "line \(line): reward \(String(format: "%.4f", value))")
        }
    }
}
