/// The character classes that split patterns speak of, by Unicode general category.
extension Unicode.Scalar {
    /// `\p{L}`
    var isLetter: Bool {
        if value < 0x80 { return (value | 0x20) &- 0x61 < 26 }
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    /// `\p{N}`
    var isNumber: Bool {
        if value < 0x80 { return value &- 0x30 < 10 }
        switch properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return false
        }
    }

    /// `\s`
    var isSpace: Bool {
        if value < 0x80 { return value == 0x20 || value &- 9 < 5 }
        return properties.isWhitespace
    }

    /// `\p{M}`
    var isMark: Bool {
        if value < 0x80 { return false }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: return true
        default: return false
        }
    }

    /// `\p{P}`
    var isPunctuation: Bool {
        switch properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
            .otherPunctuation:
            return true
        default: return false
        }
    }

    /// `\p{S}`
    var isSymbol: Bool {
        switch properties.generalCategory {
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: return true
        default: return false
        }
    }

    /// `[!-/:-@\[-`{-~]`
    var isASCIIPunctuation: Bool {
        switch value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        default: return false
        }
    }

    /// `\w`
    var isWord: Bool {
        properties.isAlphabetic || isMark || properties.generalCategory == .decimalNumber
            || properties.generalCategory == .connectorPunctuation || value == 0x200C || value == 0x200D
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
    var isUpperLike: Bool { isLetter && properties.generalCategory != .lowercaseLetter || isMark }

    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
    var isLowerLike: Bool {
        if isMark { return true }
        switch properties.generalCategory {
        case .lowercaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    /// `[\r\n]`
    var isLineEnd: Bool { value == 13 || value == 10 }

    var isASCIILetter: Bool { (value | 0x20) &- 0x61 < 26 }
    var isASCIIDigit: Bool { value &- 0x30 < 10 }
}
