import Autodidact
import Foundation
import Testing

private func write(_ lines: [JSON], to path: String) throws { try lines.map { $0.text() + "\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8) }

private func turn(_ role: String, _ content: String) -> JSON { ["role": .string(role), "content": .string(content)] }

@Suite("Files of answers", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"))
struct AnswerDataTests {
    private func read(_ lines: [JSON], _ model: Model, limit: Int = 256, _ change: (inout AnswerReading) -> Void = { _ in }) throws -> AnswerData {
        try Places.withFolder { folder in
            try write(lines, to: "\(folder)/a.jsonl")
            var options = AnswerReading(limit: limit)
            change(&options)
            return try AnswerData("\(folder)/a.jsonl", model, options)
        }
    }

    private func trained(_ example: Example) -> [Int32] { zip(example.completionTokens, example.trained).filter(\.1).map(\.0) }

    @Test("every format is known by its fields, and what answers is trained with the token that ends it")
    func formats() throws {
        let model = try Model(path: Places.smolLM, on: CPUBackend()), end = [try #require(model.tokenizer.id(of: "<|im_end|>"))]
        let dialogue = [turn("system", "Be brief."), turn("user", "Hi"), turn("assistant", "Hello."), turn("user", "Sky?"), turn("assistant", "Blue.")]
        let cases: [(name: String, line: JSON, answers: [String], prompt: String)] = [
            ("messages", ["messages": .array(dialogue), "id": 3], ["Hello.", "Blue."], "Be brief."),
            ("sharegpt", ["conversations": [["from": "human", "value": "Sky?"], ["from": "gpt", "value": "Blue."]]], ["Blue."], "Sky?"),
            ("openorca", ["system_prompt": "Be brief.", "question": "Sky?", "response": "Blue."], ["Blue."], "Be brief."),
            ("openorca", ["system": "", "question": "Sky?", "response": "Blue."], ["Blue."], "Sky?"),
            ("alpaca", ["instruction": "Say the colour.", "input": "Sky", "output": "Blue."], ["Blue."], "Say the colour.\n\nSky"),
            ("prompt-completion", ["prompt": .array(Array(dialogue.prefix(4))), "completion": [turn("assistant", "Blue.")]], ["Blue."], "Hello."),
            ("prompt-completion", ["prompt": [turn("user", "Sky?")], "completion": "Blue."], ["Blue."], "Sky?"),
        ]
        for (name, line, answers, prompt) in cases {
            let data = try read([line], model), example = try #require(data.examples.first)
            #expect(data.format == name)
            #expect(trained(example) == answers.flatMap { model.tokenizer.encode($0) + end }, "\(name): \(model.tokenizer.decode(trained(example)))")
            #expect(model.tokenizer.decode(example.promptTokens + example.completionTokens).contains(prompt), "\(name)")
            #expect(data.unfinished == 0 && data.lost.isEmpty && data.cutAnswers == 0)
        }
        let last = try read([["messages": .array(dialogue)]], model) { $0.lastTurnOnly = true }.examples[0]
        #expect(trained(last) == model.tokenizer.encode("Blue.") + end)
        let all = try read([["messages": .array(dialogue)]], model) { $0.trainsPrompts = true }.examples[0]
        #expect(trained(all) == all.completionTokens && all.promptTokens.count == 1)
    }

    @Test("a completion goes on with its prompt as it stands, or after a space where neither has one; a text is trained whole")
    func continuations() throws {
        let model = try Model(path: Places.smolLM, on: CPUBackend()), end = model.tokenizer.eosToken.map { [$0] } ?? Array(model.stopTokens.prefix(1))
        for (prompt, completion, written) in [("The sky is", "blue.", " blue."), ("The sky is", " blue.", " blue."), ("Q: sky?\nA:\n", "blue.", "blue.")] {
            let data = try read([["prompt": .string(prompt), "completion": .string(completion)]], model)
            #expect(data.format == "prompt-completion" && data.merged == 0)
            #expect(data.examples[0].promptTokens == model.tokenizer.encode(prompt) && trained(data.examples[0]) == model.tokenizer.encode(written) + end)
        }
        #expect(try read([["prompt": "The sky is ", "completion": "blue."]], model).merged == 1)
        let text = try read([["text": "The sky is blue."]], model), tokens = model.tokenizer.encode("The sky is blue.")
        #expect(text.format == "text" && text.examples[0].promptTokens == [tokens[0]] && trained(text.examples[0]) == Array(tokens.dropFirst()))
    }

    @Test("what the limit cuts is counted, and a line that keeps no answer gives no example")
    func cuts() throws {
        let model = try Model(path: Places.smolLM, on: CPUBackend()), long = String(repeating: "word ", count: 60)
        let lines: [JSON] = [["question": .string(long), "response": "b"], ["question": "a", "response": .string(long)], ["question": "a", "response": "b"]]
        let data = try read(lines, model, limit: 60)
        #expect(data.lost == [1] && data.cutAnswers == 1 && data.unfinished == 0 && data.examples.map(\.tokenCount).max() == 60 && data.examples.count == 2)
        let prompts = try read([["prompt": .string(long), "completion": "b"], ["prompt": "a", "completion": .string(long)]], model, limit: 30)
        #expect(prompts.cutPrompts == 1 && prompts.cutAnswers == 1 && prompts.examples.allSatisfy { $0.tokenCount == 30 })
    }

    @Test("a line of no format, or of another than its file's, is refused with its number, its fields and the formats", arguments: [
        ("{\"foo\": 1, \"bar\": 2}", nil as String?, ["line 1 has the fields foo, bar, which no format has", "openorca (question, response)"]),
        ("{\"question\": \"a\", \"response\": \"b\"}\n{\"question\": \"a\", \"answer\": \"b\"}", nil, ["line 2 has the fields question, answer", "read as openorca, which needs question and response"]),
        ("{\"question\": \"a\", \"response\": 3}", nil, ["line 1 has no text 'response'"]), ("{\"messages\": []}", nil, ["line 1 has no list of messages 'messages'"]),
        ("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", nil, ["no assistant's message to train"]), ("{\"conversations\": [{\"who\": \"a\"}]}", nil, ["a message 1 in 'conversations' with neither"]),
        ("{\"text\": \"a b\"}", "alpaca", ["read as alpaca, which needs instruction and output"]), ("{\"text\": \"a b\"}", "alpacca", ["'alpacca', which is no format", "sharegpt"]),
    ])
    func refusals(text: String, format: String?, messages: [String]) throws {
        let model = try Model(path: Places.smolLM, on: CPUBackend())
        try Places.withFolder { folder in
            try text.write(toFile: "\(folder)/a.jsonl", atomically: true, encoding: .utf8)
            var options = AnswerReading(limit: 100)
            options.format = format
            let error = #expect(throws: FileError.self) { try AnswerData("\(folder)/a.jsonl", model, options) }
            for message in messages { #expect(error.map { "\($0)" }?.contains(message) == true, "\(String(describing: error))") }
        }
    }
}

@Suite("Fine-tuning by command", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"), .serialized)
struct FineTuneTests {
    private let towns = ["France", "Italy", "Spain", "Japan", "Peru", "Kenya", "Norway", "Cuba"]
    private func answer(_ place: Int) -> String { "It is \(["red", "blue", "green", "white", "black", "grey", "pink", "brown"][place])-\(place)." }
    private func question(_ place: Int) -> String { "Code word for \(towns[place])?" }

    /// Two files in shares, and then a dialogue.
    private func prepare(_ folder: String) throws {
        try write(towns.indices.map { ["question": .string(question($0)), "response": .string(answer($0))] }, to: "\(folder)/codes.jsonl")
        try write(towns.indices.map { ["instruction": .string("Say hello to \(towns[$0])."), "output": .string("Hello, \(towns[$0])!")] }, to: "\(folder)/hello.jsonl")
        try write(towns.prefix(4).map { ["conversations": [["from": "human", "value": "Hi"], ["from": "gpt", "value": "Hello!"], ["from": "human", "value": .string("From \($0).")], ["from": "gpt", "value": "Nice."]]] }, to: "\(folder)/talk.jsonl")
        try write([["question": "Code word for Chad?", "response": "It is gold-9."]], to: "\(folder)/held.jsonl")
        try """
            model: \(Places.smolLM)
            objective: causal
            rank: 2
            batch: 4
            learning-rate: 1e-3
            save-every: 2
            stages:
              - {name: instruct, input: ["codes.jsonl:0.7", "hello.jsonl:0.3"], epochs: 2, eval: held.jsonl, eval-every: 2}
              - {name: dialogue, input: talk.jsonl, epochs: 3, learning-rate: 5e-4}

            """.write(toFile: "\(folder)/two.yaml", atomically: true, encoding: .utf8)
    }

    private func expectSame(_ a: String, _ b: String, sourceLocation: SourceLocation = #_sourceLocation) {
        for file in ["adapter_model.safetensors", "training.json"] {
            let bytes = FileManager.default.contents(atPath: "\(a)/\(file)")
            #expect(bytes != nil && bytes == FileManager.default.contents(atPath: "\(b)/\(file)"), "\(file)", sourceLocation: sourceLocation)
        }
    }

    @Test("eight answers are learnt by heart: the loss falls below 0.05, and greedy decoding gives them again")
    func byHeart() throws {
        try Places.withFolder { folder in
            try prepare(folder)
            let trained = try autodidact(
                ["sft", "--model", Places.smolLM, "--objective", "causal", "--input", "codes.jsonl", "--rank", "8", "--batch", "8", "--epochs", "25", "--learning-rate", "3e-3", "--output", "adapter"], in: folder)
            try #require(trained.status == 0, "\(trained.error)")
            let losses = try #require(try JSON.read(path: "\(folder)/adapter/training.json")["stages"]?.array?.first?["losses"]?.array?.compactMap(\.double))
            #expect(losses.count == 25 && losses[24] < 0.05, "\(losses)")
            let model = try Model(path: Places.smolLM, on: CPUBackend()).with(adapter: "\(folder)/adapter"), generator = Generator(model)
            let completions = try generator.run(try towns.indices.map { place in
                GenerationRequest(promptTokens: try model.encode([("user", question(place))]), options: .greedy, maxTokens: 20, stopTokens: model.stopTokens, key: RandomKey(seed: 0))
            })
            #expect(completions.sorted { $0.request < $1.request }.map(\.text) == towns.indices.map(answer))
        }
    }

    @Test("two stages from a file, killed after every save or stopped, end in the bits of one process; what is unfinished is not begun again")
    func stages() throws {
        try Places.withFolder { folder in
            try prepare(folder)
            let plan = try autodidact(["sft", "--config", "two.yaml", "--output", "whole", "--dry-run"], in: folder)
            #expect(plan.status == 0 && plan.output.contains("updates: 9") && plan.output.contains("(openorca): 8 examples, 8 in an epoch (72.7 %)") && plan.output.contains("memory: about"), "\(plan.output)\(plan.error)")
            #expect(!Places.exists("\(folder)/whole") && !Places.exists("\(folder)/whole.partial"))
            let whole = try autodidact(["sft", "--config", "two.yaml", "--output", "whole"], in: folder)
            try #require(whole.status == 0, "\(whole.error)")
            #expect(whole.output.contains("stage 1 of 2 (instruct): kept: the weights after update 6") && whole.output.contains("stage 2 of 2 (dialogue): training loss"), "\(whole.output)")
            #expect(!Places.exists("\(folder)/whole.partial"))

            let killed = ["sft", "--config", "two.yaml", "--output", "killed"]
            var result = try autodidact(killed, in: folder, environment: ["AUTODIDACT_FAULT": "after a save of fine-tuning"])
            #expect(result.status == SIGKILL)
            let again = try autodidact(killed, in: folder)
            #expect(again.status == 1 && again.error.contains("killed.partial: holds a training that is not finished") && again.error.contains("--resume"), "\(again.error)")
            let other = try autodidact(killed + ["--resume", "--seed", "1"], in: folder)
            #expect(other.status == 1 && other.error.contains("seed was 0 and is 1") && !other.error.contains("max-tokens"), "\(other.error)")
            let shorter = try autodidact(killed + ["--resume", "--max-tokens", "200", "--rank", "3"], in: folder)
            #expect(shorter.status == 1 && shorter.error.contains("max-tokens was 256 and is 200") && shorter.error.contains("rank was 2 and is 3"), "\(shorter.error)")
            do {
                let lock = try FolderLock("\(folder)/killed.partial")
                for options in [["--resume"], []] {
                    let beside = try autodidact(killed + options, in: folder)
                    #expect(beside.status == 1 && beside.error.contains("killed.partial: another process is writing here (process \(ProcessInfo.processInfo.processIdentifier))"), "\(beside.error)")
                }
                withExtendedLifetime(lock) {}
            }
            var kills = 1
            while result.status == SIGKILL, kills < 20 {
                result = try autodidact(killed + ["--resume", "--threads", "\(1 + kills % 2)"], in: folder, environment: ["AUTODIDACT_FAULT": "after a save of fine-tuning"])
                kills += 1
            }
            #expect(result.status == 0 && kills > 3, "\(result.error)")
            expectSame("\(folder)/killed", "\(folder)/whole")

            let child = try Child(["sft", "--config", "two.yaml", "--output", "stopped"], in: folder)
            // It has begun, and is far from its end.
            child.wait(for: "\(folder)/stopped.partial/origin.json")
            child.signal(SIGINT)
            let stopped = child.wait()
            #expect(stopped.status == 130 && stopped.error.contains("--resume") && !Places.exists("\(folder)/stopped"), "\(stopped.error)")
            #expect(try autodidact(["sft", "--config", "two.yaml", "--output", "stopped", "--resume"], in: folder).status == 0)
            expectSame("\(folder)/stopped", "\(folder)/whole")
        }
    }

    @Test("options that do not go together, lost answers and unknown settings are refused before anything is made", arguments: [
        (["--input", "codes.jsonl:0.5", "--input", "hello.jsonl"], ["hello.jsonl: has no weight, but others have"]), (["--input", "codes.jsonl:0"], ["a weight must be from 0.000001"]),
        (["--input", "codes.jsonl", "--patience", "2"], ["--patience: needs --eval"]), (["--input", "codes.jsonl", "--resume"], ["no training of out was begun"]),
        (["--input", "codes.jsonl", "--max-tokens", "20"], ["codes.jsonl: 8 of 8 lines (the first is line 1)", "--skip-too-long"]), (["--input", "codes.jsonl", "--format", "alpacca"], ["alpacca"]),
        (["--input", "codes.jsonl", "--config", "bad.yaml"], ["bad.yaml: line 1: unknown setting 'learning-rates'; did you mean 'learning-rate'?"]), (["--input", "codes.jsonl", "--config", "no.yaml"], ["no.yaml: cannot be read"]),
    ])
    func refusals(options: [String], messages: [String]) throws {
        try Places.withFolder { folder in
            try prepare(folder)
            try "learning-rates: 3\n".write(toFile: "\(folder)/bad.yaml", atomically: true, encoding: .utf8)
            let result = try autodidact(["sft", "--model", Places.smolLM, "--objective", "causal", "--rank", "2", "--output", "out"] + options, in: folder)
            #expect(result.status != 0)
            for message in messages { #expect(result.error.contains(message), "\(result.error)") }
            #expect(!Places.exists("\(folder)/out") && !Places.exists("\(folder)/out.partial"))
        }
    }
}
