import Sampling
import Tasks
import Tensors
import Training

/// Chain of Hindsight: a right and a wrong completion of one problem in one text, each after a phrase that says which it is, train by likelihood; what is sampled and measured
/// is asked for with the phrase for good answers.
///
/// Every iteration starts from the policy before it. Source: Liu et al. 2023, arXiv:2302.02676, section 2, with verdicts as feedback.
public struct ChainOfHindsight: ComparingRecipe {
    public static let name = "hindsight"

    public var iterations = 2
    public var samplesPerProblem = 8
    /// Pairs of a problem; 0: as many as there are.
    public var cap = 4
    public var sampling = SamplingOptions(temperature: 1)
    public var epochs = 2
    public var phrases = HindsightPhrases()
    /// The share of tokens that training reads as others.
    public var forgetting = 0.05
    /// Problems of an iteration, taken in turn from the training part; 0: all of them every time.
    public var problemsPerIteration = 0

    public init() {}

    public func environment(_ base: any Tasks.Environment) -> any Tasks.Environment { HindsightPrompts(base, phrases: phrases) }

    public func run(_ loop: isolated LearningLoop) async throws {
        guard loop.base.transformer.configuration.encoderLayers == nil else {
            throw RecipeFileError(
                file: loop.base.source ?? "the model", problem: "reads prompts with an encoder, which shows no answers. Choose a model that goes on with its text, or another recipe.")
        }
        // What the vocabulary cannot write is found before anything is sampled.
        _ = try loop.base.encode(phrases.bad)
        let forgetting = Forgetting(forgetting, of: loop.base.tokenizer)
        try await iterate(loop) { loop, rollouts, policy, n in
            // Under the prompt that was chosen.
            guard let task = loop.environment as? HindsightPrompts else { preconditionFailure("the loop's task does not ask for good answers: make it with the recipe's environment(_:)") }
            guard rollouts.allSatisfy({ $0.key.turn == 0 }) else {
                throw RecipeFileError(file: task.name, problem: "has several turns, of which chains of hindsight show one. Choose a task of one turn, or another recipe.")
            }
            return try await loop.train(on: chains(loop, task, rollouts, forgetting, iteration: n), NegativeLogLikelihood(), from: policy, iteration: n, epochs: epochs)
        }
    }

    private func chains(_ loop: isolated LearningLoop, _ task: HindsightPrompts, _ rollouts: [Rollout], _ forgetting: Forgetting, iteration: Int) throws -> [Example] {
        let pairs = try loop.examples(from: rollouts, VerdictPairs(cap: cap > 0 ? cap : nil), iteration: iteration), key = loop.key.folding("hindsight").folding(iteration)
        let asked = Dictionary(rollouts.map { ($0.key, $0.problem) }, uniquingKeysWith: { first, _ in first })
        let model = loop.base, context = model.transformer.configuration.maxPositionEmbeddings
        var (examples, cut) = ([Example](), 0)
        for place in stride(from: 0, to: pairs.count, by: 2) {
            let prompt = try task.base.reset(asked[pairs[place].rollouts[0]]!, mode: .plain)
            var (better, worse) = (pairs[place], pairs[place + 1])
            better.promptTokens = try model.encode(phrases.asking(prompt, good: true))
            worse.promptTokens = try model.encode(phrases.asking(prompt, good: false))
            let chain = try HindsightChain(prompt, better: better, worse: worse, phrases, model)
            let made = chain.hasRoom(context) ? chain.example(limit: context, forgetting, key: key.folding(place / 2)) : nil
            // Half an answer is none.
            if let made, !made.isCut { examples.append(made.example) } else { cut += 1 }
        }
        if cut > 0 { loop.report(.note("iteration \(iteration): \(cut) of \(pairs.count / 2) pairs do not fit into the model's context together, and are not trained")) }
        return examples
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try validateComparisons(check)
        try check((0..<1).contains(forgetting), "forgetting", "0 (nothing), or more and below 1")
        try check(!phrases.good.isEmpty && !phrases.bad.isEmpty && phrases.good != phrases.bad, "phrases.good and phrases.bad", "two different texts")
    }
}
