import Sampling
import Tensors

extension Rollout {
    /// What came of a request, not judged yet.
    package init(_ completion: Completion, of request: GenerationRequest, key: RolloutKey, problem: Problem, mode: PromptMode, weightsHash: String, precision: Precision = .float32) {
        self.init(
            key: key, problem: problem, mode: mode, promptTokens: request.promptTokens, completionTokens: completion.tokens, finishReason: completion.finishReason,
            text: completion.text, logProbabilities: completion.logProbabilities, behaviorLogProbabilities: completion.behaviorLogProbabilities,
            temperatures: Array(repeating: request.options.temperature, count: completion.tokens.count), weightsHash: weightsHash, precision: precision)
    }
}
