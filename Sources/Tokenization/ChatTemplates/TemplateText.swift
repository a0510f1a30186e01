/// A string as templates see it: lengths, places and comparisons go by Unicode scalars, never by what looks alike.
struct TemplateText {
    var utf8: [UInt8]
    /// Marked as HTML by `safe` or `escape`: what is added to it is escaped.
    var isSafe = false

    init(_ string: String) { utf8 = Array(string.utf8) }
    init(utf8: some Sequence<UInt8>, isSafe: Bool = false) {
        self.utf8 = Array(utf8)
        self.isSafe = isSafe
    }
    init(_ scalars: some Sequence<Unicode.Scalar>, isSafe: Bool = false) {
        utf8 = []
        for scalar in scalars { utf8.append(contentsOf: UTF8.encode(scalar)!) }
        self.isSafe = isSafe
    }

    var string: String { String(decoding: utf8, as: UTF8.self) }
    var scalars: String.UnicodeScalarView { string.unicodeScalars }
    var isEmpty: Bool { utf8.isEmpty }

    /// In Unicode scalars.
    var count: Int { utf8.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }

    func like(_ other: some Sequence<UInt8>) -> TemplateText { TemplateText(utf8: other, isSafe: isSafe) }
    func like(_ other: some Sequence<Unicode.Scalar>) -> TemplateText { TemplateText(other, isSafe: isSafe) }

    /// The byte at which a scalar starts, at most the end.
    func byte(ofScalar index: Int) -> Int {
        var scalar = -1
        for (place, byte) in utf8.enumerated() where byte & 0xC0 != 0x80 {
            scalar += 1
            if scalar == index { return place }
        }
        return utf8.count
    }

    /// - Precondition: the result is within the limits.
    func repeated(_ count: Int) -> TemplateText {
        if utf8.count == 1 { return like([UInt8](repeating: utf8[0], count: count)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(utf8.count * count)
        for _ in 0..<(isEmpty ? 0 : count) { bytes += utf8 }
        return like(bytes)
    }

    /// How many scalars start before a byte.
    func scalar(ofByte place: Int) -> Int { utf8[..<place].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }

    /// The scalars of a range that lies within `0..<count`.
    func slice(_ range: Range<Int>) -> TemplateText {
        let start = byte(ofScalar: range.lowerBound)
        var end = start
        var left = range.count
        while end < utf8.count {
            if utf8[end] & 0xC0 != 0x80 {
                if left == 0 { break }
                left -= 1
            }
            end += 1
        }
        return like(utf8[start..<end])
    }
}

extension TemplateText: Hashable {
    static func == (a: TemplateText, b: TemplateText) -> Bool { a.utf8 == b.utf8 }
    func hash(into hasher: inout Hasher) { hasher.combine(utf8) }
    /// The order of the bytes is the order of the scalars.
    static func < (a: TemplateText, b: TemplateText) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
}

extension TemplateText: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self.init(value) }
}

// MARK: - Searching

extension TemplateText {
    /// Where a needle that is not empty starts, without overlaps, from left to right: linear in both, whatever they are (Knuth, Morris, Pratt 1977).
    func places(of needle: TemplateText, limit: Int = .max) -> [Int] {
        let pattern = needle.utf8
        guard pattern.count <= utf8.count, limit > 0 else { return [] }
        var fallback = [Int](repeating: 0, count: pattern.count)
        var matched = 0
        for place in pattern.indices.dropFirst() {
            while matched > 0, pattern[place] != pattern[matched] { matched = fallback[matched - 1] }
            if pattern[place] == pattern[matched] { matched += 1 }
            fallback[place] = matched
        }
        var found: [Int] = []
        matched = 0
        for place in utf8.indices {
            while matched > 0, utf8[place] != pattern[matched] { matched = fallback[matched - 1] }
            if utf8[place] == pattern[matched] { matched += 1 }
            if matched == pattern.count {
                found.append(place + 1 - matched)
                if found.count == limit { break }
                matched = 0
            }
        }
        return found
    }

    /// As `places`, from right to left.
    func placesFromEnd(of needle: TemplateText, limit: Int = .max) -> [Int] {
        TemplateText(utf8: utf8.reversed()).places(of: TemplateText(utf8: needle.utf8.reversed()), limit: limit)
            .map { utf8.count - $0 - needle.utf8.count }
    }

    func contains(_ needle: TemplateText) -> Bool { needle.isEmpty || !places(of: needle, limit: 1).isEmpty }

    /// An empty needle stands between all scalars, before and after them.
    func replacing(_ old: TemplateText, with new: TemplateText, count: Int = .max) -> TemplateText {
        var result: [UInt8] = []
        if old.isEmpty {
            var left = count
            for scalar in scalars {
                if left > 0 { result += new.utf8 }
                left -= 1
                result += UTF8.encode(scalar)!
            }
            if left > 0 { result += new.utf8 }
            return like(result)
        }
        var start = 0
        for place in places(of: old, limit: count) {
            result += utf8[start..<place]
            result += new.utf8
            start = place + old.utf8.count
        }
        result += utf8[start...]
        return like(result)
    }

    func split(on separator: TemplateText, limit: Int) -> [TemplateText] {
        var (parts, start) = ([TemplateText](), 0)
        for place in places(of: separator, limit: limit) {
            parts.append(like(utf8[start..<place]))
            start = place + separator.utf8.count
        }
        return parts + [like(utf8[start...])]
    }

    func splitFromEnd(on separator: TemplateText, limit: Int) -> [TemplateText] {
        var (parts, end) = ([TemplateText](), utf8.count)
        for place in placesFromEnd(of: separator, limit: limit) {
            parts.append(like(utf8[(place + separator.utf8.count)..<end]))
            end = place
        }
        return (parts + [like(utf8[..<end])]).reversed()
    }

    /// The words between white space; after `limit` of them the rest is one, as it stands.
    func words(limit: Int = .max) -> [TemplateText] {
        var (parts, rest) = ([TemplateText](), scalars[...].drop(while: \.isTemplateSpace))
        while !rest.isEmpty {
            if parts.count == limit {
                while rest.last?.isTemplateSpace == true { rest.removeLast() }
                parts.append(like(rest))
                break
            }
            let word = rest.prefix { !$0.isTemplateSpace }
            parts.append(like(word))
            rest = rest[word.endIndex...].drop(while: \.isTemplateSpace)
        }
        return parts
    }

    func wordsFromEnd(limit: Int) -> [TemplateText] {
        TemplateText(scalars.reversed()).words(limit: limit).reversed().map { like($0.scalars.reversed()) }
    }

    func lines(keepingEnds: Bool = false) -> [TemplateText] {
        var (parts, line, afterReturn) = ([TemplateText](), String.UnicodeScalarView(), false)
        func ended(_ line: String.UnicodeScalarView) -> TemplateText {
            var line = line
            if !keepingEnds {
                let last = line.removeLast()
                if last == "\n", line.last == "\r" { line.removeLast() }
            }
            return like(line)
        }
        for scalar in scalars {
            if afterReturn, scalar != "\n" {
                parts.append(ended(line))
                line.removeAll()
            }
            afterReturn = scalar == "\r"
            line.append(scalar)
            if !afterReturn, scalar.isTemplateLineEnd {
                parts.append(ended(line))
                line.removeAll()
            }
        }
        if !line.isEmpty { parts.append(afterReturn ? ended(line) : like(line)) }
        return parts
    }
}

// MARK: - Ends and cases

extension TemplateText {
    enum Ends { case both, start, end }

    /// Without the scalars of `characters` at its ends; nil stands for white space.
    func stripped(_ characters: TemplateText? = nil, at ends: Ends = .both) -> TemplateText {
        let unwanted = characters.map { Set($0.scalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { unwanted?.contains(scalar) ?? scalar.isTemplateSpace }
        var rest = scalars[...]
        if ends != .end { rest = rest.drop(while: goes) }
        if ends != .start { while let last = rest.last, goes(last) { rest.removeLast() } }
        return like(rest)
    }

    func hasPrefix(_ other: TemplateText) -> Bool { utf8.starts(with: other.utf8) }
    func hasSuffix(_ other: TemplateText) -> Bool { utf8.count >= other.utf8.count && utf8[(utf8.count - other.utf8.count)...].elementsEqual(other.utf8) }

    var uppercased: TemplateText { like(scalars.flatMap { $0.properties.uppercaseMapping.unicodeScalars }) }

    /// With the final form of Σ at the end of a word.
    var lowercased: TemplateText {
        if utf8.allSatisfy({ $0 < 0x80 }) { return like(utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }) }
        let all = Array(scalars)
        return like(
            all.indices.flatMap { place -> [Unicode.Scalar] in
                guard all[place] == "Σ" else { return Array(all[place].properties.lowercaseMapping.unicodeScalars) }
                let before = all[..<place].last { !$0.properties.isCaseIgnorable }?.properties.isCased ?? false
                let after = all[(place + 1)...].first { !$0.properties.isCaseIgnorable }?.properties.isCased ?? false
                return [before && !after ? "ς" : "σ"]
            })
    }

    var capitalized: TemplateText {
        guard let first = scalars.first else { return self }
        return like(Array(first.properties.titlecaseMapping.unicodeScalars) + like(scalars.dropFirst()).lowercased.scalars)
    }

    /// Words are runs of cased scalars: "they're" becomes "They'Re".
    var titled: TemplateText {
        var (result, inWord) = ([Unicode.Scalar](), false)
        for scalar in scalars {
            result += inWord ? scalar.properties.lowercaseMapping.unicodeScalars : scalar.properties.titlecaseMapping.unicodeScalars
            inWord = scalar.properties.isCased
        }
        return like(result)
    }

    var caseSwapped: TemplateText {
        like(scalars.flatMap { ($0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping).unicodeScalars })
    }

    /// Whether there are cased scalars and all are of the case.
    func isAll(uppercase: Bool) -> Bool {
        let cased = scalars.filter(\.properties.isCased)
        return !cased.isEmpty && cased.allSatisfy { uppercase ? $0.properties.isUppercase : $0.properties.isLowercase }
    }

    /// HTML with the five characters that could end a text or an attribute written as entities.
    var escaped: TemplateText {
        if isSafe { return self }
        var result: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += "&amp;".utf8
            case UInt8(ascii: "<"): result += "&lt;".utf8
            case UInt8(ascii: ">"): result += "&gt;".utf8
            case UInt8(ascii: "'"): result += "&#39;".utf8
            case UInt8(ascii: "\""): result += "&#34;".utf8
            default: result.append(byte)
            }
        }
        return TemplateText(utf8: result, isSafe: true)
    }

    static func + (a: TemplateText, b: TemplateText) -> TemplateText {
        guard a.isSafe || b.isSafe else { return TemplateText(utf8: a.utf8 + b.utf8) }
        return TemplateText(utf8: a.escaped.utf8 + b.escaped.utf8, isSafe: true)
    }

    func joined(_ parts: [TemplateText]) -> TemplateText {
        var result: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index > 0 { result += utf8 }
            result += isSafe ? part.escaped.utf8 : part.utf8
        }
        return like(result)
    }
}

extension Unicode.Scalar {
    /// White space where templates strip and split, which counts four separators that `\s` does not.
    var isTemplateSpace: Bool {
        switch value {
        case 9...13, 28...32, 0x85, 0xA0: true
        case ..<0x1680: false
        default: properties.generalCategory == .spaceSeparator || value == 0x2028 || value == 0x2029
        }
    }

    var isTemplateLineEnd: Bool {
        switch value {
        case 10...13, 28...30, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

extension Unicode.Scalar {
    /// What Python's `isalpha` takes for a letter.
    var isLetter: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    /// `\w` of Python's regular expressions.
    var isWord: Bool {
        switch properties.generalCategory {
        case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark: true
        default: properties.isAlphabetic || value == 0x200C || value == 0x200D
        }
    }
}
