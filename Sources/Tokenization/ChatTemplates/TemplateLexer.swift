/// Cuts a template into text, and the tokens inside `{{ }}` and `{% %}`.
struct TemplateToken {
    enum Kind: Equatable {
        case text([UInt8])
        case openPrint, closePrint, openBlock, closeBlock
        case name(String)
        case string([UInt8])
        case integer(Int)
        case mark(String)
        case end
    }

    var kind: Kind
    var line: Int
}

struct TemplateLexer {
    private let source: [UInt8]
    private var position = 0
    private var line = 1
    private var tokens: [TemplateToken] = []

    static func tokens(of source: String) throws -> [TemplateToken] {
        var lexer = TemplateLexer(source)
        try lexer.readAll()
        return lexer.tokens
    }

    /// Line ends become `\n`, and one at the very end is dropped, as Jinja does.
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
    private func looksAt(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { source[position...].starts(with: $0) }
    }

    private mutating func readAll() throws {
        var stripsNext = false  // `-%}`: all white space; trim_blocks: one line end
        var trimsNext = false
        while position < source.count {
            let start = position
            while position < source.count, !(byte() == UInt8(ascii: "{") && [UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#")].contains(byte(1))) {
                position += 1
            }
            var text = source[start..<position]
            let textLine = line
            line += text.count { $0 == 10 }
            if stripsNext {
                text = text.drop { isSpace($0) }
            } else if trimsNext, text.first == 10 {
                text = text.dropFirst()
            }
            guard position < source.count else {
                add(text, textLine)
                break
            }
            let kind = byte(1)
            let sign = byte(2)
            if sign == UInt8(ascii: "-") {
                while let last = text.last, isSpace(last) { text.removeLast() }
            } else if kind != UInt8(ascii: "{"), sign != UInt8(ascii: "+") {
                if text.contains(10) || startsLine(text.startIndex) { stripIndentation(&text) }
            }
            add(text, textLine)
            position += sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") && kind != UInt8(ascii: "#") ? 3 : 2
            switch kind {
            case UInt8(ascii: "#"):
                stripsNext = try readComment()
                trimsNext = true
            case UInt8(ascii: "%"):
                tokens.append(TemplateToken(kind: .openBlock, line: line))
                (stripsNext, trimsNext) = try readTokens(closing: UInt8(ascii: "%"))
            default:
                tokens.append(TemplateToken(kind: .openPrint, line: line))
                (stripsNext, _) = try readTokens(closing: UInt8(ascii: "}"))
                trimsNext = false
            }
        }
        tokens.append(TemplateToken(kind: .end, line: line))
    }

    private func startsLine(_ index: Int) -> Bool { index == 0 || source[index - 1] == 10 }

    /// lstrip_blocks: blanks between the start of the line and a block are dropped.
    private func stripIndentation(_ text: inout ArraySlice<UInt8>) {
        var stripped = text
        while let last = stripped.last, last != 10, isSpace(last) { stripped.removeLast() }
        if stripped.isEmpty || stripped.last == 10 { text = stripped }
    }

    private mutating func add(_ text: ArraySlice<UInt8>, _ line: Int) {
        if !text.isEmpty { tokens.append(TemplateToken(kind: .text(Array(text)), line: line)) }
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 32 || 9...13 ~= byte }

    /// - Returns: whether the comment ends with `-#}`.
    private mutating func readComment() throws -> Bool {
        let start = line
        while position < source.count, !looksAt("#}") {
            if byte() == 10 { line += 1 }
            position += 1
        }
        guard position < source.count else { throw ChatTemplateError.syntax(problem: "a comment that does not end", line: start) }
        let strips = source[position - 1] == UInt8(ascii: "-")
        position += 2
        return strips
    }

    private mutating func readTokens(closing: UInt8) throws -> (strips: Bool, trims: Bool) {
        let start = line
        let close: TemplateToken.Kind = closing == UInt8(ascii: "%") ? .closeBlock : .closePrint
        while position < source.count {
            let current = byte()
            if isSpace(current) {
                if current == 10 { line += 1 }
                position += 1
                continue
            }
            let signed = (current == UInt8(ascii: "-") || current == UInt8(ascii: "+")) && byte(1) == closing && byte(2) == UInt8(ascii: "}")
            if signed || current == closing && byte(1) == UInt8(ascii: "}") {
                tokens.append(TemplateToken(kind: close, line: line))
                position += signed ? 3 : 2
                return (current == UInt8(ascii: "-"), current != UInt8(ascii: "+"))
            }
            let tokenLine = line
            tokens.append(TemplateToken(kind: try readToken(), line: tokenLine))
        }
        throw ChatTemplateError.syntax(problem: "'{\(close == .closeBlock ? "%" : "{")' without its end", line: start)
    }

    private mutating func readToken() throws -> TemplateToken.Kind {
        let current = byte()
        func isName(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
        }
        if current &- UInt8(ascii: "0") < 10 {
            var value = 0
            while byte() &- UInt8(ascii: "0") < 10 {
                let (product, overflow) = value.multipliedReportingOverflow(by: 10)
                guard !overflow, product < Int.max - 10 else { throw ChatTemplateError.unsupported(construct: "a number this large", line: line) }
                value = product + Int(byte() - UInt8(ascii: "0"))
                position += 1
            }
            if byte() == UInt8(ascii: "."), byte(1) &- UInt8(ascii: "0") < 10 || isName(byte()) {
                throw ChatTemplateError.unsupported(construct: "a number with a fraction", line: line)
            }
            return .integer(value)
        }
        if isName(current) {
            let start = position
            while isName(byte()) { position += 1 }
            return .name(String(decoding: source[start..<position], as: UTF8.self))
        }
        if current == UInt8(ascii: "'") || current == UInt8(ascii: "\"") { return .string(try readString(quote: current)) }
        for mark in ["==", "!=", "<=", ">=", "//", "**"] where source[position...].starts(with: mark.utf8) {
            position += 2
            return .mark(mark)
        }
        position += 1
        guard current > 32, current < 127 else { throw ChatTemplateError.syntax(problem: "an unexpected character", line: line) }
        return .mark(String(Unicode.Scalar(current)))
    }

    private mutating func readString(quote: UInt8) throws -> [UInt8] {
        let start = line
        var text: [UInt8] = []
        position += 1
        while position < source.count, byte() != quote {
            let current = byte()
            if current == 10 { line += 1 }
            if current == UInt8(ascii: "\\") {
                position += 1
                switch byte() {
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "t"): text.append(9)
                case UInt8(ascii: "r"): text.append(13)
                case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): text.append(byte())
                case let other:
                    throw ChatTemplateError.unsupported(construct: "the escape \\\(Unicode.Scalar(other))", line: line)
                }
            } else {
                text.append(current)
            }
            position += 1
        }
        guard position < source.count else { throw ChatTemplateError.syntax(problem: "a string that does not end", line: start) }
        position += 1
        return text
    }
}
