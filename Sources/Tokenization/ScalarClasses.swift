/// The character classes that the stages speak of, as the libraries that trained the vocabularies see them.
///
/// Those libraries know older editions of Unicode than Swift's standard library. A character that came later is unassigned for them, so its
/// age is compared; the few characters whose category changed since are listed. All were found by asking tokenizers 0.23.3 about every scalar.
struct ScalarClass: OptionSet, Sendable {
    let rawValue: UInt16

    // Split patterns (Oniguruma, Unicode 16).
    static let letter = ScalarClass(rawValue: 1)  // \p{L}
    static let number = ScalarClass(rawValue: 1 << 1)  // \p{N}
    static let space = ScalarClass(rawValue: 1 << 2)  // \s
    static let mark = ScalarClass(rawValue: 1 << 3)  // \p{M}
    static let punctuation = ScalarClass(rawValue: 1 << 4)  // \p{P}
    static let symbol = ScalarClass(rawValue: 1 << 5)  // \p{S}
    static let upperLike = ScalarClass(rawValue: 1 << 6)  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    static let lowerLike = ScalarClass(rawValue: 1 << 7)  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
    static let lineEnd = ScalarClass(rawValue: 1 << 8)  // [\r\n]
    /// `\w` of Rust's `regex` (Unicode 16), which also counts joiners.
    static let word = ScalarClass(rawValue: 1 << 9)
    /// Rust's `char::is_numeric` (Unicode 17).
    static let numeric = ScalarClass(rawValue: 1 << 10)
    /// ASCII punctuation and `\p{P}` of Rust's `unicode_categories` (Unicode 8): the stages Punctuation and BertPreTokenizer.
    static let bertPunctuation = ScalarClass(rawValue: 1 << 11)
    /// What BertNormalizer drops as an accent: `\p{Mn}` of `unicode_categories`.
    static let bertAccent = ScalarClass(rawValue: 1 << 12)
    /// What BertNormalizer drops when it cleans: NUL, U+FFFD, control, format and private characters of `unicode_categories`.
    static let bertControl = ScalarClass(rawValue: 1 << 13)
    /// What StripAccents drops: `\p{M}` of `unicode_normalization_alignments` (Unicode 9).
    static let accent = ScalarClass(rawValue: 1 << 14)

    static func of(_ scalar: Unicode.Scalar) -> ScalarClass { of(scalar.value) }

    static func of(_ value: UInt32) -> ScalarClass {
        if value < UInt32(table.count) { return ScalarClass(rawValue: table[Int(value)]) }
        return Unicode.Scalar(value).map { computed($0) } ?? []
    }

    /// The classes of planes 0 and 1, `[0x20000]`: asking the standard library each time would take longer than all the rest of a split.
    private static let table: [UInt16] = {
        var table = [UInt16](repeating: 0, count: 0x2_0000)
        var value = 0
        // Each of these blocks has one class throughout: CJK ideographs, Hangul, surrogates with private use, and two stretches of nothing.
        let uniform = [0x3400..<0x4DC0, 0x4E00..<0xA000, 0xAC00..<0xD7A4, 0xE000..<0xF900, 0x1_4680..<0x1_6100, 0x1_9000..<0x1_AFF0]
        while value < table.count {
            guard let scalar = Unicode.Scalar(UInt32(value)) else {
                value += 1
                continue
            }
            table[value] = computed(scalar).rawValue
            if let block = uniform.first(where: { $0.lowerBound == value }) {
                for other in block { table[other] = table[value] }
                value = block.upperBound
            } else {
                value += 1
            }
        }
        return table
    }()

    private static func computed(_ scalar: Unicode.Scalar) -> ScalarClass {
        let properties = scalar.properties
        let category = properties.generalCategory
        let age = properties.age.map { 10 * $0.major + $0.minor } ?? .max
        var found: ScalarClass = []
        if age <= 160 {
            switch category {
            case .uppercaseLetter, .titlecaseLetter: found = [.letter, .upperLike]
            case .lowercaseLetter: found = [.letter, .lowerLike]
            case .modifierLetter, .otherLetter: found = [.letter, .upperLike, .lowerLike]
            case .nonspacingMark, .spacingMark, .enclosingMark: found = [.mark, .upperLike, .lowerLike]
            case .decimalNumber, .letterNumber, .otherNumber: found = .number
            case _ where isPunctuation(category): found = .punctuation
            case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: found = .symbol
            default: break
            }
            if scalar.value == 0x295 { found = [.letter, .lowerLike] }  // Lo since Unicode 17
            if properties.isAlphabetic || found.contains(.mark) || category == .decimalNumber || category == .connectorPunctuation {
                found.insert(.word)
            }
        }
        if scalar.value == 0x200C || scalar.value == 0x200D { found.insert(.word) }
        if properties.isWhitespace { found.insert(.space) }
        if scalar == "\r" || scalar == "\n" { found.insert(.lineEnd) }
        switch category {
        case .decimalNumber, .letterNumber, .otherNumber: found.insert(.numeric)
        default: break
        }
        if scalar.isASCIIPunctuation || age <= 80 && isPunctuation(category) || [0x166D, 0x111C9].contains(scalar.value) {
            found.insert(.bertPunctuation)
        }
        if age <= 80 && category == .nonspacingMark && ![0x1885, 0x1886, 0xA9BD, 0x111C9].contains(scalar.value)
            || [0x1734, 0x1171E].contains(scalar.value)
        {
            found.insert(.bertAccent)
        }
        switch category {
        case .nonspacingMark, .spacingMark, .enclosingMark:
            if age <= 90, scalar.value != 0x111C9 { found.insert(.accent) }
        case .control:
            if ![0x09, 0x0A, 0x0D].contains(scalar.value) { found.insert(.bertControl) }
        case .format, .privateUse:
            if age <= 70 { found.insert(.bertControl) }
        default:
            if scalar.value == 0xFFFD { found.insert(.bertControl) }
            if scalar.value == 0x1CF2 || scalar.value == 0x1CF3 { found.insert(.accent) }
        }
        return found
    }

    private static func isPunctuation(_ category: Unicode.GeneralCategory) -> Bool {
        switch category {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }
}

extension Unicode.Scalar {
    /// `\s`
    var isSpace: Bool { ScalarClass.of(self).contains(.space) }

    /// `[!-/:-@\[-`{-~]`
    var isASCIIPunctuation: Bool {
        switch value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        default: return false
        }
    }

    /// The blocks of Chinese characters around which BERT puts spaces.
    var isChinese: Bool {
        switch value {
        case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x2_0000...0x2_A6DF, 0x2_A700...0x2_B73F, 0x2_B740...0x2_B81F,
            0x2_B920...0x2_CEAF, 0x2_F800...0x2_FA1F:
            return true
        default: return false
        }
    }
}
