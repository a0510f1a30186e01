import Architectures
import Training

extension Example {
    /// Trained only after its longest common beginning with a right one; nil where nothing is left.
    func sparing(_ right: [Example]) -> Example? {
        var example = self
        let shared = right.map { zip($0.completionTokens, completionTokens).prefix { $0 == $1 }.count }.max() ?? 0
        for index in 0..<min(shared, trained.count) { example.trained[index] = false }
        return example.trainedCount > 0 ? example : nil
    }
}

extension Array where Element == Example {
    /// Gives each the completion of the next example with another prompt to compare with, where there is one; what a reference says of it is not known yet.
    mutating func addMismatches() {
        for (index, example) in enumerated() {
            guard let step = (1..<Swift.max(1, count)).first(where: { self[(index + $0) % count].promptTokens != example.promptTokens }) else { continue }
            // No longer than its own completion, so that it fits into the context.
            let completion = Array<Int32>(self[(index + step) % count].completionTokens.prefix(example.completionTokens.count))
            self[index].mismatch = Example.Mismatch(promptTokens: example.promptTokens, completionTokens: completion, referenceLogProbabilities: completion.map { _ in 0 })
        }
    }

    /// With what a reference says of their completions, and of mismatched ones: of all tokens, also of those that are not trained.
    public func compared(with reference: Transformer, microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens) -> [Example] {
        func scored(_ pairs: [(prompt: [Int32], completion: [Int32])]) -> [[Float]] {
            reference.score(pairs.map { Example(promptTokens: $0.prompt, completionTokens: $0.completion) }, microBatchTokens: microBatchTokens).map { $0.map(\.logProbability) }
        }
        var examples = self
        for (index, numbers) in scored(map { ($0.promptTokens, $0.completionTokens) }).enumerated() { examples[index].referenceLogProbabilities = numbers }
        let mismatched = indices.compactMap { index in self[index].mismatch.map { (index, $0) } }
        let numbers = scored(mismatched.map { ($0.1.promptTokens, $0.1.completionTokens) })
        for ((index, _), numbers) in zip(mismatched, numbers) { examples[index].mismatch?.referenceLogProbabilities = numbers }
        return examples
    }
}
