import Foundation

/// The Unicode normalization forms, as huggingface/tokenizers computes them: with the tables of Unicode 9, in which later characters do not change.
///
/// Source: Unicode Standard Annex 15, and section 3.11 of the standard.
enum UnicodeForm: Sendable {
    case nfc, nfd, nfkc, nfkd

    private var composes: Bool { self == .nfc || self == .nfkc }
    private var isCompatible: Bool { self == .nfkc || self == .nfkd }

    /// What a decomposed character is made of, and how many old characters it stands for: 1 for the first of a decomposition, 0 for the others,
    /// more after composition.
    private struct Part {
        var scalar: Unicode.Scalar
        var combiningClass: UInt8
        var characters: Int
    }

    func normalize(_ text: AlignedText) -> AlignedText {
        // Nothing below U+00C0 (U+00A0) has a decomposition, and nothing below U+0300 composes.
        let threshold: UInt8 = self == .nfc ? 0xCC : self == .nfd ? 0xC3 : 0xC2
        if text.bytes.allSatisfy({ $0 < threshold }) { return text }
        var edit = TextEdit(text)
        var parts: [Part] = []  // a starter and all that may still change with it
        var place = 0
        while place < text.count {
            let scalar = text.bytes.scalar(at: place)
            place += UTF8.width(scalar)
            if scalar.value < 0x80 {
                flush(&parts, into: &edit)
                parts.append(Part(scalar: scalar, combiningClass: 0, characters: 1))
                continue
            }
            UnicodeTables.forEachPart(of: scalar, isCompatible: isCompatible) { part, isFirst in
                let combiningClass = UnicodeTables.combiningClass(part)
                if combiningClass == 0, !(composes && UnicodeTables.composesWithBefore(part)) { flush(&parts, into: &edit) }
                parts.append(Part(scalar: part, combiningClass: combiningClass, characters: isFirst ? 1 : 0))
            }
        }
        flush(&parts, into: &edit)
        return edit.result
    }

    /// Writes what has been collected: in canonical order, and composed where the form asks for it.
    private func flush(_ parts: inout [Part], into edit: inout TextEdit) {
        if parts.count > 1 { order(&parts) }
        if composes, parts.count > 1 { compose(&parts) }
        for part in parts {
            if part.characters > 0 { edit.replace(part.characters, by: part.scalar) } else { edit.insert(part.scalar) }
        }
        parts.removeAll(keepingCapacity: true)
    }

    /// Sorts every run of characters that are not starters by combining class, equals in their order.
    private func order(_ parts: inout [Part]) {
        var start = 0
        while start < parts.count {
            guard parts[start].combiningClass != 0 else {
                start += 1
                continue
            }
            let end = parts[start...].firstIndex { $0.combiningClass == 0 } ?? parts.count
            let run = parts[start..<end]
            if zip(run, run.dropFirst()).contains(where: { $0.combiningClass > $1.combiningClass }) {
                let sorted = run.enumerated().sorted { ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset) }
                parts.replaceSubrange(start..<end, with: sorted.map(\.element))
            }
            start = end
        }
    }

    private func compose(_ parts: inout [Part]) {
        var starter: Int?  // index in `composed`
        var lastClass: UInt8?  // of what was kept after the starter
        var composed: [Part] = []
        composed.reserveCapacity(parts.count)
        for part in parts {
            if let place = starter, lastClass.map({ $0 < part.combiningClass }) ?? true,
                let whole = UnicodeTables.composition(of: composed[place].scalar, part.scalar)
            {
                composed[place].scalar = whole
                composed[place].characters += part.characters
                continue
            }
            composed.append(part)
            if part.combiningClass == 0 {
                (starter, lastClass) = (composed.count - 1, nil)
            } else {
                lastClass = part.combiningClass
            }
        }
        parts = composed
    }
}

/// Decompositions, compositions and combining classes, asked of the standard library once.
private enum UnicodeTables {
    private static let hangulSyllables: Range<UInt32> = 0xAC00..<0xAC00 + 11172
    private static let (hangulLeads, hangulVowels, hangulTails) = (UInt32(0x1100)..<0x1113, UInt32(0x1161)..<0x1176, UInt32(0x11A8)..<0x11C3)

    /// What the scalar decomposes into, completely; the scalar itself if it does not.
    static func forEachPart(of scalar: Unicode.Scalar, isCompatible: Bool, _ body: (Unicode.Scalar, _ isFirst: Bool) -> Void) {
        if hangulSyllables.contains(scalar.value) {
            let syllable = scalar.value - hangulSyllables.lowerBound
            body(Unicode.Scalar(hangulLeads.lowerBound + syllable / 588)!, true)
            body(Unicode.Scalar(hangulVowels.lowerBound + syllable % 588 / 28)!, false)
            if syllable % 28 > 0 { body(Unicode.Scalar(hangulTails.lowerBound - 1 + syllable % 28)!, false) }
        } else if tables.concerns(scalar),
            let parts = (isCompatible ? tables.compatible[scalar.value] : nil) ?? tables.canonical[scalar.value]
        {
            for (index, part) in parts.enumerated() { body(part, index == 0) }
        } else {
            body(scalar, true)
        }
    }

    static func composition(of first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        if hangulLeads.contains(first.value), hangulVowels.contains(second.value) {
            return Unicode.Scalar(
                hangulSyllables.lowerBound + ((first.value - hangulLeads.lowerBound) * 21 + second.value - hangulVowels.lowerBound) * 28)
        }
        if hangulSyllables.contains(first.value), (first.value - hangulSyllables.lowerBound) % 28 == 0, hangulTails.contains(second.value) {
            return Unicode.Scalar(first.value + second.value - hangulTails.lowerBound + 1)
        }
        return tables.compositions[UInt64(first.value) << 32 | UInt64(second.value)]
    }

    /// Whether a starter may join the character before it: the second halves of compositions, and Hangul vowels and tails.
    static func composesWithBefore(_ scalar: Unicode.Scalar) -> Bool {
        hangulVowels.contains(scalar.value) || hangulTails.contains(scalar.value) || tables.secondStarters.contains(scalar.value)
    }

    static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
        tables.concerns(scalar) ? knownCombiningClass(scalar) : 0
    }

    private static func knownCombiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
        isKnown(scalar) ? scalar.properties.canonicalCombiningClass.rawValue : 0
    }

    /// Whether the scalar is assigned in Unicode 9.
    private static func isKnown(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.age.map { $0.major <= 9 } ?? false }

    private struct Tables {
        var canonical: [UInt32: [Unicode.Scalar]] = [:]
        var compatible: [UInt32: [Unicode.Scalar]] = [:]  // where it is another one
        var compositions: [UInt64: Unicode.Scalar] = [:]  // by both halves
        var secondStarters: Set<UInt32> = []
        var isConcerned = [Bool](repeating: false, count: 0x2_FA20)  // what none of the above and no combining class knows is left alone

        func concerns(_ scalar: Unicode.Scalar) -> Bool { scalar.value < UInt32(isConcerned.count) && isConcerned[Int(scalar.value)] }
    }

    private static let tables: Tables = {
        // One text with a scalar on each line, normalized once.
        let blocks = [
            0xA0..<0x3400, 0xA000..<0xAC00, 0xF900..<0x1_0000, 0x1_0000..<0x1_2000, 0x1_6A00..<0x1_7000, 0x1_BC00..<0x1_BD00, 0x1_D000..<0x1_F300,
            0x2_F800..<0x2_FA20,
        ]
        let candidates = blocks.joined().compactMap { Unicode.Scalar(UInt32($0)) }.filter(isKnown)
        var lines = String.UnicodeScalarView()
        for scalar in candidates {
            lines.append(scalar)
            lines.append("\n")
        }
        func decompositions(_ text: String) -> [ArraySlice<Unicode.Scalar>] {
            Array(text.unicodeScalars).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        }
        let text = String(lines)
        let canonical = decompositions(text.decomposedStringWithCanonicalMapping)
        let compatible = decompositions(text.decomposedStringWithCompatibilityMapping)
        precondition(canonical.count == candidates.count && compatible.count == candidates.count, "a line feed is normalized to itself")

        var tables = Tables()
        for (index, scalar) in candidates.enumerated() {
            if canonical[index].count != 1 || canonical[index].first != scalar { tables.canonical[scalar.value] = Array(canonical[index]) }
            if compatible[index] != canonical[index] { tables.compatible[scalar.value] = Array(compatible[index]) }
            tables.isConcerned[Int(scalar.value)] =
                tables.canonical[scalar.value] != nil || tables.compatible[scalar.value] != nil || knownCombiningClass(scalar) != 0
        }
        for (value, parts) in tables.canonical where parts.count > 1 {
            let scalar = Unicode.Scalar(value)!
            guard !scalar.properties.isFullCompositionExclusion else { continue }
            // The decomposition is complete; its last step has the composition of the rest for its first half.
            let rest = String(String.UnicodeScalarView(parts.dropLast())).precomposedStringWithCanonicalMapping.unicodeScalars
            guard rest.count == 1, let first = rest.first, let second = parts.last else { continue }
            tables.compositions[UInt64(first.value) << 32 | UInt64(second.value)] = scalar
            if knownCombiningClass(second) == 0 { tables.secondStarters.insert(second.value) }
        }
        return tables
    }()
}
