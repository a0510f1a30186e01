/// A piece of an answer in LaTeX or plain notation.
enum MathToken: Equatable {
    case number(String)
    case letter(String)
    /// Without its backslash.
    case command(String)
    case symbol(Character)
    /// Text in words: a unit, or an answer that is no formula.
    case word(String)
    case numeral(digits: String, base: String)
    case begin(String)
    case end(String)
    case newRow

    /// A name that begins with another one stands before it.
    static let functions = [
        "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "lg", "exp",
    ]
    /// Units that are written without `\text` so often that they are no product of variables.
    private static let units: Set<String> = ["cm", "mm", "km", "kg", "mg", "ft", "mph", "sec", "hr", "hrs", "lb", "lbs"]
    private static let signs: [Character: String] = [
        "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "°": "^{\\circ}",
        "√": "sqrt ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "±": "\\pm ", "∅": "\\emptyset ", "θ": "\\theta ",
    ]
    private static let ignored: Set<String> = [
        "left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle", "quad", "qquad", "limits", "!", ",", ";", ":", " ", "$", "%", "(", ")",
        "[", "]",
    ]
    private static let synonyms: [String: String] = [
        "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge",
        "neq": "ne", "times": "*", "cdot": "*", "ast": "*", "div": "/", "lt": "<", "gt": ">", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "|": "|",
        "varnothing": "emptyset", "degree": "circ", "infinity": "infty", "slash": "/", "colon": ":", "lbrack": "[", "rbrack": "]", "lbrace": "{", "rbrace": "}",
    ]
    private static let textCommands: Set<String> = ["text", "mbox", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathbb", "mathit", "mathcal", "operatorname", "hbox", "rm"]

    /// - Throws: `MathUnreadable` for what no answer holds.
    static func tokens(of text: String) throws -> [MathToken] {
        var lexer = Lexer(characters: Array(text.map { signs[$0] ?? String($0) }.joined()))
        return try lexer.run()
    }

    private struct Lexer {
        let characters: [Character]
        var place = 0
        var tokens: [MathToken] = []
        /// Open brackets of points, intervals and sets: a comma in them separates.
        var brackets = 0
        /// Arguments that `\frac`, `\binom` or `\sqrt` still waits for; unbraced, each is one digit. One entry per open brace.
        var waiting: [(count: Int, closing: Character)] = [(0, " ")]

        mutating func run() throws -> [MathToken] {
            while let character = peek() {
                if character.isWhitespace || character == "$" || character == "%" || character == "~" {
                    place += 1
                } else if character.isASCIIDigit || (character == "." && (peek(1)?.isASCIIDigit ?? false)) {
                    number()
                } else if character.isLetter {
                    letters()
                } else if character == "\\" {
                    try command()
                } else {
                    symbol(character)
                }
            }
            while let last = tokens.last, last == .symbol(".") || last == .symbol(",") { tokens.removeLast() }
            return tokens
        }

        func peek(_ offset: Int = 0) -> Character? { place + offset < characters.count ? characters[place + offset] : nil }

        /// An argument of a waiting command begins; true where one waited.
        @discardableResult
        mutating func takesArgument() -> Bool {
            guard waiting[waiting.count - 1].count > 0 else { return false }
            waiting[waiting.count - 1].count -= 1
            return true
        }

        mutating func symbol(_ character: Character) {
            switch character {
            case "{":
                takesArgument()
                waiting.append((0, "}"))
            case "[" where tokens.last == .command("sqrt"): waiting.append((0, "]"))
            case _ where waiting[waiting.count - 1].closing == character: waiting.removeLast()
            case "(", "[":
                takesArgument()
                brackets += 1
            case ")", "]": brackets = max(0, brackets - 1)
            default: break
            }
            if character == "*", tokens.last == .symbol("*") { tokens[tokens.count - 1] = .symbol("^") } else { tokens.append(.symbol(character)) }
            place += 1
        }

        mutating func number() {
            if takesArgument() {
                tokens.append(.number(String(characters[place])))
                place += 1
                return
            }
            let isListed = place > 0 && characters[place - 1] == ","
            var digits = run(\.isASCIIDigit)
            if (1...3).contains(digits.count), digits.first != "0" { digits += thousands(isListed: isListed) }
            if peek() == ".", peek(1)?.isASCIIDigit ?? false || (peek(1) == "\\" && peek(2) == "o") {
                place += 1
                digits += "." + run(\.isASCIIDigit)
            }
            tokens.append(base().map { .numeral(digits: digits + $0.letters, base: $0.base) } ?? .number(digits))
        }

        /// Groups of three digits, each behind a comma. A comma marked by `{,}` or `,\!` always groups;
        /// a plain one does outside brackets, where no list of numbers goes on.
        mutating func thousands(isListed: Bool) -> String {
            let start = place
            var (groups, areMarked) = ("", true)
            while true {
                let end = place
                var isMarked = false
                if peek() == "{", peek(1) == ",", peek(2) == "}" {
                    (place, isMarked) = (place + 3, true)
                } else if peek() == "," {
                    place += 1
                    _ = run(\.isWhitespace)
                    if peek() == "\\", peek(1) == "!" { (place, isMarked) = (place + 2, true) }
                    if isMarked { _ = run(\.isWhitespace) }
                    if !isMarked, characters[place - 1] != "," { place = end }
                }
                let group = place > end ? run(\.isASCIIDigit) : ""
                guard group.count == 3 else {
                    place = end
                    break
                }
                groups += group
                areMarked = areMarked && isMarked
            }
            let goesOn = isListed || brackets > 0 || (peek() == "," && (peek(1)?.isASCIIDigit ?? false))
            if areMarked || !goesOn { return groups }
            place = start
            return ""
        }

        /// What makes the digits just read a numeral: `_2`, `_{13}`, with capital letters as digits before it.
        mutating func base() -> (letters: String, base: String)? {
            let start = place
            let letters = run { $0.isASCIIDigit || ("A"..."Z").contains($0) }
            if peek() == "_" {
                place += 1
                let isBraced = peek() == "{"
                if isBraced { place += 1 }
                let base = run(\.isASCIIDigit)
                if !base.isEmpty, !isBraced || peek() == "}" {
                    if isBraced { place += 1 }
                    return (letters, base)
                }
            }
            place = start
            return nil
        }

        mutating func letters() {
            let start = place
            let word = run { $0.isLetter }
            let isLast = !characters[place...].contains { $0.isLetter || $0.isNumber }
            if case .number = tokens.last, isLast, units.contains(word) {
                tokens.append(.word(word))  // "5 sec" is no secant
            } else if let name = (functions + ["pi", "infinity", "infty"]).first(where: word.hasPrefix), word.count <= name.count + 2 {
                takesArgument()
                tokens.append(.command(synonyms[name] ?? name))
                place = start + name.count
            } else if word == "and" || word == "or" {
                tokens.append(.symbol(","))
            } else if word.count >= 4 || units.contains(word) {
                tokens.append(.word(word))
            } else {
                takesArgument()
                tokens.append(.letter(String(word.prefix(1))))
                place = start + 1
            }
        }

        mutating func command() throws {
            place += 1
            guard let first = peek() else { return }
            var name = run { $0.isASCII && $0.isLetter }
            if name.isEmpty {
                name = String(first)
                place += 1
            }
            name = synonyms[name] ?? name
            if textCommands.contains(name) { return try text(name) }
            if ignored.contains(name) {
                if name == "left" || name == "right", peek() == "." { place += 1 }
                return
            }
            takesArgument()
            switch name {
            case "{":
                brackets += 1
                tokens.append(.command(name))
            case "}":
                brackets = max(0, brackets - 1)
                tokens.append(.command(name))
            case "\\": tokens.append(.newRow)
            case "begin", "end":
                guard let environment = braced() else { throw MathUnreadable(reason: "\\\(name) without a name") }
                brackets = max(0, brackets + (name == "begin" ? 1 : -1))
                tokens.append(name == "begin" ? .begin(environment) : .end(environment))
            case "frac", "binom":
                waiting[waiting.count - 1].count += 2
                tokens.append(.command(name))
            case "sqrt":
                waiting[waiting.count - 1].count += 1
                tokens.append(.command(name))
            case _ where name.count == 1 && !name.first!.isLetter: tokens.append(.symbol(name.first!))
            default: tokens.append(.command(name))
            }
        }

        mutating func text(_ command: String) throws {
            _ = run(\.isWhitespace)
            guard let content = braced() else { throw MathUnreadable(reason: "\\\(command) without text") }
            let words = content.trimming { $0.isWhitespace }
            if command != "text", words.count == 1 {
                tokens.append(.letter(words))
            } else if ["and", "or"].contains(words.filter { $0 != "," }.trimming { $0.isWhitespace }) {
                tokens.append(.symbol(","))
            } else if !words.isEmpty {
                tokens.append(.word(words))
            }
        }

        /// The text between braces that begin here.
        mutating func braced() -> String? {
            guard peek() == "{", let end = characters[place...].firstIndex(of: "}") else { return nil }
            defer { place = end + 1 }
            return String(characters[(place + 1)..<end])
        }

        mutating func run(_ belongs: (Character) -> Bool) -> String {
            let start = place
            while let character = peek(), belongs(character) { place += 1 }
            return String(characters[start..<place])
        }
    }
}

extension StringProtocol {
    /// Without such characters at both ends.
    func trimming(_ isDropped: (Character) -> Bool) -> String {
        guard let start = firstIndex(where: { !isDropped($0) }), let end = lastIndex(where: { !isDropped($0) }) else { return "" }
        return String(self[start...end])
    }
}
