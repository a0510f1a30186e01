/// Reads the last quantity of a completion's answer and compares its number and unit with the problem's.
///
/// A cut completion is cut off whatever it says.
public struct QuantityVerifier: AnswerReader {
    public let name = "quantity"
    public let extraction: AnswerExtraction
    public let tolerance: Quantity.Tolerance
    public let requiresUnit: Bool

    /// - Parameters:
    ///   - extraction: where the answer is; behind `####`, else the last line.
    ///   - tolerance: how far the number may be from the right one; none by default.
    ///   - requiresUnit: whether an answer without a unit is wrong where the gold answer has one.
    public init(
        extraction: AnswerExtraction = AnswerExtraction([.pattern("#### *(.+)"), .lastLine]), tolerance: Quantity.Tolerance = .exact, requiresUnit: Bool = false
    ) {
        self.extraction = extraction
        self.tolerance = tolerance
        self.requiresUnit = requiresUnit
    }

    public var settings: [String: String] {
        ["extraction": extraction.rules.map(\.name).joined(separator: ", "), "tolerance": "\(tolerance.absolute), or \(tolerance.relative) of it", "requires unit": "\(requiresUnit)"]
    }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        let extractor: AnswerExtraction.Extractor
        do {
            extractor = try AnswerExtraction.Extractor(extraction)
        } catch {
            return rollouts.map { _ in .failed(reason: "\(error)") }
        }
        return rollouts.map { rollout in
            guard let gold = rollout.problem.answer, let expected = Quantity(lastIn: gold) else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no quantity to compare with: its answer is \(rollout.problem.answer ?? "missing")")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            let answer: String?
            do { answer = try extractor.extract(from: rollout.text)?.answer } catch { return .failed(reason: "\(error)") }
            guard let answer, let found = Quantity(lastIn: answer) else {
                return .judged(Verdict(.unreadable, evidence: "no quantity found, expected \(expected)"))
            }
            let isRight = found.matches(expected, tolerance: tolerance, requiringUnit: requiresUnit)
            return .judged(Verdict(isRight ? .right : .wrong, evidence: "read \(found), expected \(expected)"))
        }
    }

    public func answer(in rollout: Rollout) -> String? {
        rollout.finishReason == .length ? nil : (try? extraction.extract(from: rollout.text)).flatMap { $0 }.flatMap { Quantity(lastIn: $0.answer)?.description }
    }

    /// Whether two answers are the same quantity, within the tolerance; where a unit is required, one without is another answer.
    public func areEqual(_ a: String, _ b: String) -> Bool {
        guard let first = Quantity(lastIn: a), let second = Quantity(lastIn: b) else { return a == b }
        if requiresUnit, (first.unit == nil) != (second.unit == nil) { return false }
        return first.matches(second, tolerance: tolerance)
    }
}
