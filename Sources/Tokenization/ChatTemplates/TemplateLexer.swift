/// A piece of a template: text, or a token inside `{{ }}` and `{% %}`.
struct TemplateToken {
    enum Kind: Equatable {
        case text([UInt8])
        case openPrint, closePrint, openBlock, closeBlock
        case name(String)
        case string([UInt8])
        case integer(Int128)
        case float(Double)
        case mark(String)
        case end
    }

    var kind: Kind
    var line: Int
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks`: a tag takes the line end behind it and the blanks before it on its line.
struct TemplateLexer {
    private let source: [UInt8]
    private var position = 0
    private var line = 1
    private var tokens: [TemplateToken] = []
    /// Whether the text that comes next starts a line of the source that a tag has not touched.
    private var startsLine = true

    static func tokens(of source: String) throws -> [TemplateToken] {
        var lexer = TemplateLexer(source)
        try lexer.readAll()
        return lexer.tokens
    }

    /// Line ends become `\n`, and one at the very end is dropped.
    private init(_ source: String) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var afterReturn = false
        for byte in source.utf8 {
            if byte == 13 {
                bytes.append(10)
            } else if byte != 10 || !afterReturn {
                bytes.append(byte)
            }
            afterReturn = byte == 13
        }
        if bytes.last == 10 { bytes.removeLast() }
        self.source = bytes
    }

    private func byte(_ offset: Int = 0) -> UInt8 { position + offset < source.count ? source[position + offset] : 0 }
    private func looksAt(_ text: String, offset: Int = 0) -> Bool { source[min(position + offset, source.count)...].starts(with: text.utf8) }

    private mutating func readAll() throws {
        while position < source.count {
            let start = position
            while position < source.count, !(byte() == UInt8(ascii: "{") && [UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#")].contains(byte(1))) {
                position += 1
            }
            guard position < source.count else {
                add(source[start...])
                break
            }
            let kind = byte(1), sign = byte(2)
            let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            addText(source[start..<position], beforeTag: kind, sign: sign)
            if kind == UInt8(ascii: "%"), let end = endOfRawTag(isSigned ? 3 : 2) {
                try readRaw(from: end)
                continue
            }
            position += isSigned ? 3 : 2
            switch kind {
            case UInt8(ascii: "#"): try readComment()
            case UInt8(ascii: "%"):
                tokens.append(TemplateToken(kind: .openBlock, line: line))
                try readTokens(closing: UInt8(ascii: "%"))
            default:
                tokens.append(TemplateToken(kind: .openPrint, line: line))
                try readTokens(closing: UInt8(ascii: "}"))
            }
        }
        tokens.append(TemplateToken(kind: .end, line: line))
    }

    // MARK: Text

    private mutating func addText(_ text: ArraySlice<UInt8>, beforeTag kind: UInt8, sign: UInt8) {
        var kept = text
        if sign == UInt8(ascii: "-") {
            kept = text.prefix(TemplateText(utf8: text).stripped(at: .end).utf8.count)
        } else if kind != UInt8(ascii: "{"), sign != UInt8(ascii: "+") {
            let lineStart = text.lastIndex(of: 10).map { $0 + 1 }
            if lineStart != nil || startsLine {
                let head = text[..<(lineStart ?? text.startIndex)]
                if TemplateText(utf8: text[head.endIndex...]).stripped().isEmpty { kept = head }
            }
        }
        add(kept)
        line += text[kept.endIndex...].count { $0 == 10 }
    }

    private mutating func add(_ text: ArraySlice<UInt8>) {
        if !text.isEmpty { tokens.append(TemplateToken(kind: .text(Array(text)), line: line)) }
        line += text.count { $0 == 10 }
    }

    /// Passes white space.
    private mutating func passSpace() {
        let rest = TemplateText(utf8: source[position...].prefix { $0 <= 32 || $0 >= 0x80 })
        let passed = rest.utf8.count - rest.stripped(at: .start).utf8.count
        line += source[position..<(position + passed)].count { $0 == 10 }
        position += passed
    }

    /// Passes the end of a tag, written `closing`, with its sign and the white space that goes with it.
    /// - Returns: false when no end is here.
    private mutating func passEnd(_ closing: String, trimsLine: Bool) -> Bool {
        if looksAt("-" + closing) {
            position += 1 + closing.utf8.count
            passSpace()
        } else if trimsLine, looksAt("+" + closing) {
            position += 1 + closing.utf8.count
        } else if looksAt(closing) {
            position += closing.utf8.count
            if trimsLine, byte() == 10 {
                line += 1
                position += 1
            }
        } else {
            return false
        }
        startsLine = source[position - 1] == 10
        return true
    }

    private mutating func readComment() throws {
        let start = line
        while position < source.count {
            if passEnd("#}", trimsLine: true) { return }
            if byte() == 10 { line += 1 }
            position += 1
        }
        throw ChatTemplateError.syntax(problem: "a comment without its '#}'", line: start)
    }

    // MARK: Raw text

    /// Where the word `name` ends in a tag that holds only it, nil for any other tag.
    private func endOfWord(_ name: String, offset: Int) -> Int? {
        var place = offset
        while isSpace(byte(place)) { place += 1 }
        guard looksAt(name, offset: place) else { return nil }
        place += name.utf8.count
        while isSpace(byte(place)) { place += 1 }
        return place
    }

    private func endOfRawTag(_ offset: Int) -> Int? {
        guard let place = endOfWord("raw", offset: offset), looksAt("%}", offset: place) || looksAt("-%}", offset: place) else { return nil }
        return place
    }

    private mutating func readRaw(from end: Int) throws {
        let start = line
        line += source[position..<(position + end)].count { $0 == 10 }
        position += end
        _ = passEnd("%}", trimsLine: false)
        let textStart = position
        while position < source.count {
            let sign = byte(2)
            let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            if looksAt("{%"), let place = endOfWord("endraw", offset: isSigned ? 3 : 2),
                looksAt("%}", offset: place) || looksAt("-%}", offset: place) || looksAt("+%}", offset: place)
            {
                addText(source[textStart..<position], beforeTag: UInt8(ascii: "%"), sign: sign)
                line += source[position..<(position + place)].count { $0 == 10 }
                position += place
                _ = passEnd("%}", trimsLine: true)
                return
            }
            position += 1
        }
        throw ChatTemplateError.syntax(problem: "'raw' without its 'endraw'", line: start)
    }

    // MARK: Tokens

    private func isSpace(_ byte: UInt8) -> Bool { byte == 32 || 9...13 ~= byte || 28...31 ~= byte }

    private mutating func readTokens(closing: UInt8) throws {
        let start = line
        let isBlock = closing == UInt8(ascii: "%")
        var brackets: [UInt8] = []  // those still to come
        while position < source.count {
            if isSpace(byte()) {
                if byte() == 10 { line += 1 }
                position += 1
                continue
            }
            let tokenLine = line
            if brackets.isEmpty, passEnd(isBlock ? "%}" : "}}", trimsLine: isBlock) {
                tokens.append(TemplateToken(kind: isBlock ? .closeBlock : .closePrint, line: tokenLine))
                return
            }
            let token = try readToken()
            if case .mark(let mark) = token {
                switch mark {
                case "(": brackets.append(UInt8(ascii: ")"))
                case "[": brackets.append(UInt8(ascii: "]"))
                case "{": brackets.append(UInt8(ascii: "}"))
                case ")", "]", "}":
                    guard brackets.popLast() == mark.utf8.first else { throw ChatTemplateError.syntax(problem: "'\(mark)' closes nothing", line: tokenLine) }
                default: break
                }
            }
            tokens.append(TemplateToken(kind: token, line: tokenLine))
        }
        throw ChatTemplateError.syntax(problem: "'{\(isBlock ? "%" : "{")' without its end", line: start)
    }

    private static let marks = ["==", "!=", "<=", ">=", "//", "**"] + "+-/*%~[](){}><=.:|,;".map { String($0) }

    private mutating func readToken() throws -> TemplateToken.Kind {
        let current = byte()
        if current &- UInt8(ascii: "0") < 10 { return try readNumber() }
        if isName(current) {
            let start = position
            while isName(byte()) { position += 1 }
            let name = String(decoding: source[start..<position], as: UTF8.self)
            guard name.unicodeScalars.first!.properties.isXIDStart || name.first == "_", name.unicodeScalars.allSatisfy(\.properties.isXIDContinue) else {
                throw ChatTemplateError.syntax(problem: "'\(name)' cannot be a name", line: line)
            }
            return .name(name)
        }
        if current == UInt8(ascii: "'") || current == UInt8(ascii: "\"") { return .string(try readString(quote: current)) }
        guard let mark = TemplateLexer.marks.first(where: { looksAt($0) }) else {
            throw ChatTemplateError.syntax(problem: "the character '\(Unicode.Scalar(current))' has no meaning here", line: line)
        }
        position += mark.utf8.count
        return .mark(mark)
    }

    private func isName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10 || byte >= 0x80
    }

    private mutating func readNumber() throws -> TemplateToken.Kind {
        func digits(from start: Int, _ isDigit: (UInt8) -> Bool) -> Int {
            var place = start
            while isDigit(byte(place)) || byte(place) == UInt8(ascii: "_") && isDigit(byte(place + 1)) { place += 1 }
            return place
        }
        func isDecimal(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
        func taken(_ count: Int) -> String { String(decoding: source[position..<(position + count)].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self) }

        let radix = byte() == UInt8(ascii: "0") ? [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2][byte(1) | 0x20] : nil
        var (end, isFloat) = (0, false)
        if let radix {
            end = digits(from: 2) { Character(Unicode.Scalar($0)).hexDigitValue.map { $0 < radix } ?? false }
        }
        let usesRadix = end > 2
        if radix != nil, !usesRadix {
            end = 1
        } else if !usesRadix {
            end = digits(from: 0, isDecimal)
            if byte(end) == UInt8(ascii: "."), isDecimal(byte(end + 1)), !(position > 0 && source[position - 1] == UInt8(ascii: ".")) {
                end = digits(from: end + 1, isDecimal)
                isFloat = true
            }
            if byte(end) | 0x20 == UInt8(ascii: "e") {
                let isSigned = byte(end + 1) == UInt8(ascii: "+") || byte(end + 1) == UInt8(ascii: "-")
                if isDecimal(byte(end + (isSigned ? 2 : 1))) {
                    end = digits(from: end + (isSigned ? 2 : 1), isDecimal)
                    isFloat = true
                }
            }
            // A number does not start with 0: `01` is two numbers, which no expression allows.
            if !isFloat, byte() == UInt8(ascii: "0") { end = digits(from: 0) { $0 == UInt8(ascii: "0") } }
        }
        let text = taken(end)
        position += end
        if isFloat { return .float(Double(text)!) }
        guard let value = usesRadix ? Int128(text.dropFirst(2), radix: radix!) : Int128(text) else {
            throw ChatTemplateError.limit("whole numbers of 128 bits", line: line)
        }
        return .integer(value)
    }

    // MARK: Strings

    private mutating func readString(quote: UInt8) throws -> [UInt8] {
        let start = line
        var text: [UInt8] = []
        position += 1
        while position < source.count, byte() != quote {
            if byte() == 10 { line += 1 }
            if byte() == UInt8(ascii: "\\") {
                position += 1
                text += try readEscape()
            } else {
                text.append(byte())
                position += 1
            }
        }
        guard position < source.count else { throw ChatTemplateError.syntax(problem: "a string that does not end", line: start) }
        position += 1
        return text
    }

    /// What follows a backslash, as in Python's strings; an unknown letter leaves the backslash where it is.
    private mutating func readEscape() throws -> [UInt8] {
        let letter = byte()
        position += 1
        switch letter {
        case 10:
            line += 1
            return []
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "a"): return [7]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "v"): return [11]
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): return [letter]
        case UInt8(ascii: "x"): return try readScalar(digits: 2)
        case UInt8(ascii: "u"): return try readScalar(digits: 4)
        case UInt8(ascii: "U"): return try readScalar(digits: 8)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            var value = UInt32(letter - UInt8(ascii: "0"))
            for _ in 0..<2 where UInt8(ascii: "0")...UInt8(ascii: "7") ~= byte() {
                value = value * 8 + UInt32(byte() - UInt8(ascii: "0"))
                position += 1
            }
            return Array(UTF8.encode(Unicode.Scalar(value)!)!)
        case UInt8(ascii: "N"): throw ChatTemplateError.unsupported(construct: "a character by its name", line: line)
        default:
            position -= 1
            return [UInt8(ascii: "\\")]
        }
    }

    private mutating func readScalar(digits: Int) throws -> [UInt8] {
        let text = String(decoding: source[position..<min(position + digits, source.count)], as: UTF8.self)
        guard text.utf8.count == digits, text.allSatisfy(\.isHexDigit), let scalar = UInt32(text, radix: 16).flatMap({ Unicode.Scalar($0) }) else {
            throw ChatTemplateError.syntax(problem: "'\\' and a number that is no character", line: line)
        }
        position += digits
        return Array(UTF8.encode(scalar)!)
    }
}
