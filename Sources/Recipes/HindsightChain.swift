import Architectures
import Tasks
import Tensors
import Tokenization
import Training

/// Two answers to one prompt, to be shown in one text, each after the phrase that says whether it is the better one.
///
/// Chance says which comes first: where the better one follows the worse, it is seen what is better about it; where it comes first, it is asked for as it will be when the
/// model is used. Only answers are trained. Source: Liu et al. 2023, arXiv:2302.02676, section 2, and the templates of its authors.
public struct HindsightChain: Sendable, Equatable {
    /// The answers alone, after prompts that ask for one of their kind.
    public var better: Example, worse: Example
    /// What asks for a second answer of a kind.
    public var toBetter: [Int32], toWorse: [Int32]

    /// - Parameters:
    ///   - prompt: without a phrase.
    ///   - better: the better answer after the prompt that asks for a good one.
    ///   - worse: the worse answer after the prompt that asks for a bad one.
    ///   - phrases: that say which is which.
    ///   - model: whose tokens they are.
    /// - Throws: `FileError` for what the vocabulary has no token for, `ChatTemplateError`.
    public init(_ prompt: Prompt, better: Example, worse: Example, _ phrases: HindsightPhrases, _ model: Model) throws {
        // A soft prompt stands before the text once.
        func next(after answer: Example, good: Bool) throws -> [Int32] {
            try model.encode(phrases.next(after: prompt, good: good), after: answer.completionTokens).filter { $0 >= 0 }
        }
        (self.better, self.worse) = (better, worse)
        (toBetter, toWorse) = (try next(after: worse, good: true), try next(after: better, good: false))
    }

    /// Whether so many tokens leave room for two answers.
    public func hasRoom(_ limit: Int) -> Bool { limit > better.promptTokens.prefix { $0 < 0 }.count + max(toBetter.count, toWorse.count) + 2 }

    /// The text with both answers, its places of answers as labels.
    /// - Parameters:
    ///   - limit: tokens of the text, with room for two answers; what is too long loses the ends of its answers down to half of the room, and then the beginning of its prompt.
    ///   - forgetting: which of the tokens are read as others.
    ///   - key: of the order, and of what is forgotten.
    /// - Returns: the example, and whether something was cut.
    public func example(limit: Int, _ forgetting: Forgetting, key: RandomKey) -> (example: Example, isCut: Bool) {
        precondition(hasRoom(limit), "\(limit) tokens leave no room for two answers")
        let isBetterFirst = key.folding("order").uniform(0) < 0.5
        let (first, second, between) = isBetterFirst ? (better, worse, toWorse) : (worse, better, toBetter)
        let soft = first.promptTokens.prefix { $0 < 0 }, asked = first.promptTokens.dropFirst(soft.count), room = limit - soft.count - between.count - 1
        let one = first.completionTokens.prefix(max(room - second.completionTokens.count, (room + 1) / 2)), two = second.completionTokens.prefix(room - one.count)
        let head = soft + asked.suffix(room + 1 - one.count - two.count)
        let text = Array(head + one + between + two), answers = Array(head.count..<head.count + one.count) + Array(text.count - two.count..<text.count)
        var example = Example(
            tokens: forgetting(Array(text.dropLast()), key: key.folding("forgetting")), labels: .init(places: answers.map { Int32($0 - 1) }, targets: answers.map { text[$0] }),
            weight: better.weight * worse.weight)
        example.rollouts = better.rollouts + worse.rollouts
        return (example, text.count < first.tokenCount + between.count + second.completionTokens.count)
    }
}

extension HindsightChain {
    /// Both answers after the prompt that asks for a good one, the better one with the advantage 1 and the worse one with -1: what is measured.
    /// - Parameters:
    ///   - limit: tokens of an example.
    ///   - comparison: the number of this one.
    public func asked(limit: Int, comparison: Int) -> [Example] {
        [(better, Float(1)), (worse, -1)].map { answer, score in
            var example = Example(promptTokens: better.promptTokens, completionTokens: answer.completionTokens).cut(to: limit).example
            (example.advantage, example.standing) = (score, Example.Standing(comparison: comparison, score: Double(score)))
            return example
        }
    }
}

/// Tokens that are read as others, so that an answer is not learnt by copying from the one before it. Sources: Liu et al. 2022, arXiv:2210.13432, where attention forgets
/// them; Liu et al. 2023, arXiv:2302.02676, section 2.
public struct Forgetting: Sendable {
    /// Of all tokens but special ones.
    public let share: Double
    /// Tokens that are text.
    private let ordinary: [Int32]
    private let kept: Set<Int32>

    public init(_ share: Double, of tokenizer: Tokenizer) {
        self.share = share
        let all = Int32(0)..<Int32(tokenizer.vocabularySize)
        (ordinary, kept) = (all.filter { !tokenizer.isSpecial($0) }, Set(all.filter { tokenizer.isSpecial($0) }))
    }

    func callAsFunction(_ tokens: [Int32], key: RandomKey) -> [Int32] {
        guard share > 0, !ordinary.isEmpty else { return tokens }
        return tokens.enumerated().map { place, token in
            let own = key.folding(place)
            return token < 0 || kept.contains(token) || own.uniform(0) >= share ? token : ordinary[own.index(below: ordinary.count, 1)]
        }
    }
}
