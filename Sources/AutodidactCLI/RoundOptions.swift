import ArgumentParser
import Autodidact

/// How a model is trained again and again from its beginning, each time on what the last one found.
struct RoundOptions: ParsableArguments {
    @Option(help: "The folder to write.")
    var output: String?

    @Option(help: "A JSONL file of the same kind as --input, measured after every round and never trained.")
    var eval: String?

    @Option(help: "Times that the model is trained on what it has found.")
    var rounds: Int = 5

    @Option(help: "Passes over what a round trains.")
    var epochs: Int = 3

    @Option(name: .customLong("learning-rate"), help: "The highest learning rate.")
    var learningRate: Double = 5e-5

    @Option(name: .customLong("max-tokens"), help: "Longer texts are cut.")
    var maxTokens: Int = 128

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    func validate() throws {
        try checkCounts([("rounds", rounds), ("epochs", epochs), ("max-tokens", maxTokens)])
        if !(learningRate > 0 && learningRate.isFinite) { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
    }

    var trainer: TrainerOptions {
        TrainerOptions(optimizer: OptimizerOptions(learningRate: learningRate, weightDecay: 0.01), schedule: Schedule(.linear, warmupSteps: 10))
    }

    /// - Parameters:
    ///   - doubled: how many.
    ///   - what: they are.
    func warn(doubled: Int, _ what: String) {
        if doubled > 0 { printError("warning: \(doubled) \(what) of --eval stand in --input too: what is learnt of them counts as if it were general") }
    }

    /// - Parameter limit: of `maxTokens` and what the model takes the lower.
    func warn(cut: Int, of count: Int, _ what: String, to limit: Int) {
        if cut > 0 { printError("warning: \(cut) of \(count) \(what) fill the \(limit) tokens of \(limit < maxTokens ? "the model's context" : "--max-tokens"); what was longer was cut") }
    }

    /// Makes the folder before anything is trained, and writes what comes out, also where Ctrl-C ends it after a round.
    /// - Parameters:
    ///   - output: the folder.
    ///   - train: gives what is written; after each round it asks whether to stop.
    ///   - save: writes into the folder.
    func write<Result>(to output: String, _ train: (_ isStopped: (_ round: Int) -> Bool) throws -> Result, _ save: (Result) throws -> Void) throws {
        var isEarly = false
        try writeFolder(output, stoppingAfter: "round") { stop in
            try save(train { round in
                isEarly = stop.isRequested && round < rounds
                return isEarly
            })
        }
        printLine("wrote \(output)\(isEarly ? ", stopped early" : "")")
        if isEarly { throw ExitCode(130) }
    }
}
