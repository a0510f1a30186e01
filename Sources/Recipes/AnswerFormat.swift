import ModelFiles

/// What a line of a file of answers looks like. Adding a format is its entry in `all`.
public struct AnswerFormat: Sendable {
    /// What of a line is trained.
    enum Content {
        /// Everything.
        case text(String)
        case continuation(prompt: String, completion: String)
        /// Of a conversation the assistant's turns; so many of the last, or all.
        case conversation([JSON], lastTurns: Int?)
        /// An answer to a question: through the chat template, or after `plain` where the model has none.
        case answer([JSON], plain: String, String)
    }
    /// A field that is not what the format says.
    struct Misfit: Error { let problem: String }

    /// As `--format` calls it.
    public let name: String
    /// The fields that tell it from others.
    public let fields: [String]
    let read: @Sendable (JSONObject) throws(Misfit) -> Content

    /// In the order in which they are looked for.
    public static func all(textField: String = "text") -> [AnswerFormat] {
        [
            AnswerFormat(name: "messages", fields: ["messages"]) { line throws(Misfit) in .conversation(try messages(line, "messages"), lastTurns: nil) },
            // Of ShareGPT.
            AnswerFormat(name: "sharegpt", fields: ["conversations"]) { line throws(Misfit) in .conversation(try messages(line, "conversations"), lastTurns: nil) },
            // Mukherjee et al. 2023, arXiv:2306.02707, as OpenOrca publishes it.
            AnswerFormat(name: "openorca", fields: ["question", "response"]) { line throws(Misfit) in
                let prompt = try optional(line, "system_prompt"), other = try optional(line, "system"), system = prompt ?? other, question = try text(line, "question")
                let plain = (system.map { "### System:\n\($0)\n\n" } ?? "") + "### User:\n\(question)\n\n### Assistant:\n"
                return .answer((system.map { [message("system", $0)] } ?? []) + [message("user", question)], plain: plain, try text(line, "response"))
            },
            AnswerFormat(name: "prompt-completion", fields: ["prompt", "completion"]) { line throws(Misfit) in
                guard line["prompt"]?.array != nil else { return .continuation(prompt: try text(line, "prompt"), completion: try text(line, "completion")) }
                var line = line
                if let completion = line["completion"]?.string { line["completion"] = .array([message("assistant", completion)]) }
                let answers = try messages(line, "completion")
                return .conversation(try messages(line, "prompt") + answers, lastTurns: answers.count { $0["role"]?.string == "assistant" })
            },
            // Taori et al. 2023, with the prompt that they publish.
            AnswerFormat(name: "alpaca", fields: ["instruction", "output"]) { line throws(Misfit) in
                let instruction = try text(line, "instruction"), input = try optional(line, "input")
                let plain = input.map {
                    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request."
                        + "\n\n### Instruction:\n\(instruction)\n\n### Input:\n\($0)\n\n### Response:\n"
                } ?? "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n\(instruction)\n\n### Response:\n"
                return .answer([message("user", instruction + (input.map { "\n\n\($0)" } ?? ""))], plain: plain, try text(line, "output"))
            },
            AnswerFormat(name: "text", fields: [textField]) { line throws(Misfit) in .text(try text(line, textField)) },
        ]
    }

    func fits(_ line: JSONObject) -> Bool { fields.allSatisfy { line[$0] != nil } }

    private static func text(_ line: JSONObject, _ field: String) throws(Misfit) -> String {
        guard let text = line[field]?.string else { throw Misfit(problem: "has no text '\(field)'") }
        return text
    }

    /// Empty is as good as missing.
    private static func optional(_ line: JSONObject, _ field: String) throws(Misfit) -> String? {
        guard let value = line[field], !value.isNull else { return nil }
        guard let text = value.string else { throw Misfit(problem: "has a '\(field)' that is \(value.kind), not a text") }
        return text.isEmpty ? nil : text
    }

    private static func message(_ role: String, _ content: String) -> JSON { ["role": .string(role), "content": .string(content)] }

    private static let roles = ["human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "observation": "tool", "function_response": "tool"]

    /// With ShareGPT's names as those that chat templates read.
    private static func messages(_ line: JSONObject, _ field: String) throws(Misfit) -> [JSON] {
        guard let list = line[field]?.array, !list.isEmpty else { throw Misfit(problem: "has no list of messages '\(field)'") }
        var messages: [JSON] = []
        for (place, entry) in list.enumerated() {
            if entry["role"]?.string != nil {
                messages.append(entry)
            } else if let from = entry["from"]?.string, let value = entry["value"]?.string {
                messages.append(message(roles[from] ?? from, value))
            } else {
                throw Misfit(problem: "has a message \(place + 1) in '\(field)' with neither 'role' and 'content' nor 'from' and 'value'")
            }
        }
        return messages
    }
}
