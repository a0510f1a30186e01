import Foundation

/// One way of writing each answer, so that 18, 18.0, $18 and "18." compare equal, and votes for them count together.
///
/// Source: the normalisation of GSM8K in EleutherAI's lm-evaluation-harness.
public enum CanonicalAnswer {
    /// Without commas, dollar signs, surrounding white space and trailing full stops.
    public static func cleaned(_ answer: String) -> String {
        var text = answer.trimmingCharacters(in: .whitespacesAndNewlines).filter { $0 != "," && $0 != "$" }
        while text.hasSuffix(".") { text.removeLast() }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The answer as a decimal number without needless zeros ("-18.50" is "-18.5"); `nil` where it is not a number.
    ///
    /// Digits are compared as text: no rounding makes two different numbers equal.
    public static func number(_ answer: String) -> String? {
        var text = cleaned(answer)[...]
        let isNegative = text.hasPrefix("-")
        if isNegative || text.hasPrefix("+") { text.removeFirst() }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ $0.allSatisfy(\.isASCIIDigit) }), parts.contains(where: { !$0.isEmpty }) else { return nil }
        let whole = parts[0].drop { $0 == "0" }
        var fraction = parts.count == 2 ? parts[1] : ""
        while fraction.hasSuffix("0") { fraction.removeLast() }
        let magnitude = (whole.isEmpty ? "0" : String(whole)) + (fraction.isEmpty ? "" : "." + fraction)
        return isNegative && magnitude != "0" ? "-" + magnitude : magnitude
    }

    /// The number where it is one, else the cleaned text in lower case.
    public static func canonical(_ answer: String) -> String { number(answer) ?? cleaned(answer).lowercased() }
}
