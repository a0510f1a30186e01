import Foundation

/// A regular expression that gives up instead of hanging: a text may be long, and a pattern may backtrack without end.
///
/// Patterns are ICU's. Steps are counted, not seconds, so the same text always ends the same.
struct BoundedPattern: Sendable {
    enum Finding: Equatable {
        case found, notFound
        /// The pattern ran out of steps or of stack, or the text is too long.
        case gaveUp(String)
    }
    /// UTF-16 units.
    static let longest = 65536
    /// Reports of progress, one for 10000 steps of the matcher.
    private static let budget = 2500

    let text: String
    private let plain: NSRegularExpression
    /// What is counted. Where a part of a text may match, it is the text from its beginning that matches: a search reports every place that it comes to as progress.
    private let anchored: NSRegularExpression

    /// - Parameter whole: the pattern must match the whole text, not a part.
    /// - Returns: `nil` for what is no regular expression.
    init?(_ text: String, whole: Bool = false) {
        guard let plain = try? NSRegularExpression(pattern: text) else { return nil }
        // A comment, or a quotation, may be open at the pattern's end.
        let anchored = ["", "\n", "\\E"].lazy.compactMap { try? NSRegularExpression(pattern: whole ? "\\A(?:\(text)\($0))\\z" : "\\A[\\s\\S]*?(?:\(text)\($0))") }.first
        guard let anchored else { return nil }
        (self.text, self.plain, self.anchored) = (text, plain, anchored)
    }

    func find(in text: String) -> Finding {
        guard text.utf16.count <= Self.longest else { return .gaveUp("the text has more than \(Self.longest) UTF-16 units") }
        var finding = Finding.notFound
        var steps = 0
        anchored.enumerateMatches(in: text, options: [.reportProgress, .reportCompletion], range: NSRange(text.startIndex..., in: text)) { match, flags, stop in
            if match != nil {
                finding = .found
                stop.pointee = true
                return
            }
            // At its end it says whether its stack was enough.
            if !flags.contains(.completed) { steps += 1 }
            if flags.contains(.internalError) || steps > Self.budget {
                finding = .gaveUp("the pattern '\(shortened(self.text))' backtracks too long")
            }
            if finding != .notFound { stop.pointee = true }
        }
        return finding
    }

    /// The first match of a part of the text.
    /// - Throws: `TaskError.badValue` where the pattern gives up.
    func firstMatch(in text: String) throws -> NSTextCheckingResult? {
        switch find(in: text) {
        case .notFound: return nil
        // What was found in so many steps is found in as many.
        case .found: return plain.firstMatch(in: text, range: NSRange(text.startIndex..., in: text))
        case .gaveUp(let reason):
            throw TaskError.badValue(file: "extraction", line: nil, key: "rule", value: self.text, reason: "It gave up, for \(reason). Write it without repetitions inside of repetitions, or before what it looks for, or allow shorter answers.")
        }
    }
}
