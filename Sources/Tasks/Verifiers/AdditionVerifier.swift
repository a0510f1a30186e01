import Foundation

/// Reads the sum that an addition problem's completion ends in, and compares it digit by digit.
///
/// With a scratchpad the answer is the line behind `</scratch>`, its digits spaced apart, up to a blank line or the end;
/// anything else there makes the completion unreadable. Only the answer is compared, not the scratchpad, as in STaR.
/// A leading zero is wrong: "0 8 8 3" is the scratchpad's last line, not the answer.
public struct AdditionVerifier: AnswerReader {
    public let name = "addition"
    public let form: Addition.Form

    public init(form: Addition.Form) { self.form = form }

    public var settings: [String: String] { ["form": form.rawValue] }

    public func answer(in rollout: Rollout) -> String? { rollout.finishReason == .length ? nil : try? read(rollout.text).get() }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let expected = rollout.problem.answer else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no answer to compare with")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            switch read(rollout.text) {
            case .success(let answer):
                return .judged(Verdict(answer == expected ? .right : .wrong, evidence: "read \(answer), expected \(expected)"))
            case .failure(let problem):
                return .judged(Verdict(.unreadable, evidence: "\(problem.reason), expected \(expected)"))
            }
        }
    }

    package struct Unreadable: Error { var reason: String }

    /// The answer's digits without spaces.
    package func read(_ text: String) -> Result<String, Unreadable> {
        switch form {
        case .scratchpad:
            guard let tag = text.range(of: "</scratch>\n") else { return .failure(Unreadable(reason: "no line '</scratch>' with an answer behind it")) }
            let rest = text[tag.upperBound...]
            let answer = rest.range(of: "\n\n").map { rest[..<$0.lowerBound] } ?? rest
            let digits = answer.trimmingCharacters(in: .whitespacesAndNewlines).components(separatedBy: " ")
            guard digits.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) }) else {
                return .failure(Unreadable(reason: "'\(shortened(answer))' behind the scratchpad is no row of digits"))
            }
            return .success(digits.joined())
        case .direct:
            let line = text.trimmingCharacters(in: .whitespacesAndNewlines).split(separator: "\n").first ?? ""
            let number = CanonicalAnswer.cleaned(String(line))
            guard !number.isEmpty, number.allSatisfy(\.isASCIIDigit) else {
                return .failure(Unreadable(reason: "'\(shortened(line))' is no number"))
            }
            return .success(number)
        }
    }
}

/// The start of a text, on one line, for evidence.
func shortened(_ text: some StringProtocol) -> String {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ⏎ ")
    return line.count <= 60 ? line : line.prefix(59) + "…"
}
