import Foundation

/// Divides problems into train, dev and test by a hash of what they say, so that near-duplicates stay together.
///
/// A problem's side depends on its text alone: adding, removing or reordering records moves no other record.
public struct Splitting: Codable, Sendable, Equatable {
    /// What counts as the same problem.
    public enum Grouping: String, Codable, Sendable, CaseIterable {
        /// The same words after numbers, capitalised names and punctuation are taken out.
        case nearDuplicates = "near-duplicates"
        /// The same text, whatever its case and spacing. For data made from a few templates.
        case exact
    }

    /// Shares of the keys, each in 0...1, together less than 1; the rest is train.
    public var dev: Double
    public var test: Double
    public var grouping: Grouping

    public init(dev: Double = 0.1, test: Double = 0.1, grouping: Grouping = .nearDuplicates) {
        precondition(dev >= 0 && test >= 0 && dev + test < 1, "shares of dev \(dev) and test \(test) leave nothing to train on")
        self.dev = dev
        self.test = test
        self.grouping = grouping
    }

    /// What decides the side of a text.
    public func key(of text: String) -> String {
        switch grouping {
        case .nearDuplicates: Self.normalized(text)
        case .exact: Self.collapsed(text)
        }
    }

    /// - Parameter key: from `key(of:)`.
    public func split(ofKey key: String) -> Split {
        let place = StableHash.fraction(StableHash.mix(StableHash.fnv1a(key)))
        if place < test { return .test }
        return place < test + dev ? .dev : .train
    }

    /// The text's lower-case words, without words that hold a digit, without capitalised words and without punctuation.
    ///
    /// "Joan found 70 shells on the beach" and "Tim found 8 shells on the beach" have one key. Where fewer than three
    /// words remain ("What is 5 + 3?"), they say too little: the key is then the whole text in lower case.
    public static func normalized(_ text: String) -> String {
        var kept: [String] = []
        for word in words(of: text.precomposedStringWithCanonicalMapping) {
            let scalars = word.unicodeScalars
            guard let first = scalars.first, !first.properties.isUppercase else { continue }
            guard !scalars.contains(where: { $0.properties.numericType != nil }) else { continue }
            kept.append(word.lowercased())
        }
        return kept.count >= 3 ? kept.joined(separator: " ") : collapsed(text)
    }

    /// The text in lower case, each run of white space one space. It starts with "=", which no normalised key does.
    static func collapsed(_ text: String) -> String {
        "= " + text.precomposedStringWithCanonicalMapping.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// Runs of letters, digits and apostrophes.
    static func words(of text: String) -> [String] {
        var words: [String] = []
        var word = String.UnicodeScalarView()
        func isInside(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "'", "’": true
            default: !scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
            }
        }
        for scalar in text.unicodeScalars {
            if isInside(scalar) {
                word.append(scalar)
            } else if !word.isEmpty {
                words.append(String(word))
                word = String.UnicodeScalarView()
            }
        }
        if !word.isEmpty { words.append(String(word)) }
        return words.filter { $0.unicodeScalars.contains { $0 != "'" && $0 != "’" } }
    }
}

extension Problem {
    /// What decided the problem's split: the key its task stored, else the normalised question.
    public var splitKey: String { details["splitKey"] ?? Splitting.normalized(question) }
}

extension [Split: [Problem]] {
    /// Takes out what nearly repeats a problem of a later part, so that no near-duplicate is on two sides: test keeps it, else dev.
    /// - Returns: the keys of the held-out problems.
    mutating func separate() -> Set<String> {
        let testKeys = Set((self[.test] ?? []).map(\.splitKey))
        self[.dev]?.removeAll { testKeys.contains($0.splitKey) }
        let heldOutKeys = testKeys.union((self[.dev] ?? []).map(\.splitKey))
        self[.train]?.removeAll { heldOutKeys.contains($0.splitKey) }
        return heldOutKeys
    }
}

extension [Problem] {
    /// The problems with the lowest hashes, in their own order: a smaller count takes a part of the larger one's.
    func thinned(to count: Int?) -> [Problem] {
        guard let count, count < self.count else { return self }
        let hashes = map { StableHash.mix(StableHash.fnv1a($0.question)) }
        return indices.sorted { (hashes[$0], $0) < (hashes[$1], $1) }.prefix(count).sorted().map { self[$0] }
    }
}
