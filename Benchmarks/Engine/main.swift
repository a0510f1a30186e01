import Autodidact
import Foundation

/// The engine at work, one JSON object a line, under the names that ../shared/peers/peers_torch.py prints for PyTorch.
struct Work {
    let model: Model
    let key = RandomKey(seed: 0)
    let batch = 8, length = 256

    /// Every token but the first is trained, or scored, as in the peer.
    var examples: [Example] {
        (0..<batch).map { index in
            let ids = tokens(length, key.folding(index))
            return Example(promptTokens: [ids[0]], completionTokens: Array(ids.dropFirst()))
        }
    }

    func train() throws {
        let options = TrainerOptions(optimizer: AdamWOptions(learningRate: 1e-5), microBatchTokens: batch * length)
        let trainer = Trainer(model.decoder.copy(expanding: true), objective: NegativeLogLikelihood(), options: options, totalSteps: 3)
        let examples = examples
        _ = try trainer.step(examples)
        let best = try (0..<2).map { _ in try seconds { _ = try trainer.step(examples) } }.min()!
        try out("train_full", ["batch": Double(batch), "seq": Double(length), "tok_s": Double(batch * length) / best, "step_s": best])
    }

    func generate() throws {
        for (batch, prompt, new) in [(1, 64, 128), (16, 64, 96), (64, 64, 96)] {
            let generator = Generator(model)
            generator.maxSequences = batch
            let requests = (0..<batch).map { index in
                GenerationRequest(
                    promptTokens: tokens(prompt, key.folding(index)), options: SamplingOptions(temperature: 1), maxTokens: new, stopTokens: [], key: key.folding(index))
            }
            let time = try seconds { _ = try generator.run(requests) }
            try out("generate", ["batch": Double(batch), "prompt": Double(prompt), "new": Double(new), "tok_s": Double(batch * new) / time])
        }
    }

    func score() throws {
        let examples = examples
        _ = model.decoder.score([examples[0]])
        let time = seconds { _ = model.decoder.score(examples) }
        try out("score", ["batch": Double(batch), "seq": Double(length), "tok_s": Double(batch * length) / time])
    }

    private func tokens(_ count: Int, _ key: RandomKey) -> [Int32] {
        key.permutation(model.decoder.configuration.vocabularySize - 100).prefix(count).map { Int32($0 + 50) }
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let began = ContinuousClock.now
        try body()
        return (ContinuousClock.now - began) / .seconds(1)
    }

    func out(_ what: String, _ fields: [String: Double]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print("{\"what\":\"\(what)\",\(String(decoding: try encoder.encode(fields), as: UTF8.self).dropFirst())")
    }
}

let arguments = CommandLine.arguments
guard arguments.count >= 3, ["train", "generate", "score"].contains(arguments[2]) else {
    // A process does one kind of work, so that its peak memory is that work's.
    FileHandle.standardError.write(Data("usage: engine-bench MODEL train|generate|score [THREADS]\n".utf8))
    exit(64)
}
let work = Work(model: try Model(path: arguments[1], on: try CPUBackend(threads: arguments.count > 3 ? Int(arguments[3]) : nil)))
switch arguments[2] {
case "train": try work.train()
case "generate": try work.generate()
default: try work.score()
}

// The system's own count of the most memory this process had.
let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
if let peak = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM") })?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Double($0) }) {
    try work.out("peak_rss_gb", ["v": peak * 1024 / 1e9])
}
