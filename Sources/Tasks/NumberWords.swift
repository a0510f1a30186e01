/// Numbers written in words, below a thousand million: "twelve", "twenty-five", "three hundred and five thousand".
enum NumberWords {
    /// The text with every number in words as digits; everything else as it was.
    static func spelled(_ text: String) -> String {
        guard text.contains(where: \.isLetter) else { return text }
        var result = ""
        var number: Number?
        var gap = ""  // white space, hyphens and "and", which count only where a number word follows
        var rest = text[...]
        while let first = rest.first {
            let piece = rest.prefix { $0.isLetter == first.isLetter }
            rest = rest[piece.endIndex...]
            if first.isLetter, !(result.last?.isNumber ?? false), Number.isWord(piece.lowercased()) {
                var extended = number ?? Number()
                if extended.accept(piece.lowercased()) {
                    (number, gap) = (extended, "")
                    continue
                }
                result += (number?.text ?? "") + gap
                (number, gap) = (nil, "")
                var fresh = Number()
                if fresh.accept(piece.lowercased()) { number = fresh } else { result += piece }
            } else if number != nil, piece.allSatisfy({ $0 == " " || $0 == "-" }) || (piece == "and" && number?.takesAnd ?? false) {
                gap += piece
            } else {
                result += (number?.text ?? "") + gap + piece
                (number, gap) = (nil, "")
            }
        }
        return result + (number?.text ?? "") + gap
    }

    private struct Number {
        private var millions = 0, thousands = 0, below = 0
        private var isEmpty = true
        private var wasHundred = false

        var text: String { String(millions * 1_000_000 + thousands * 1000 + below) }
        var takesAnd: Bool { wasHundred || below == 0 }

        static func isWord(_ word: String) -> Bool { units[word] != nil || tens[word] != nil || ["hundred", "thousand", "million"].contains(word) }

        /// False where the word begins another number.
        mutating func accept(_ word: String) -> Bool {
            defer { if word != "hundred" { wasHundred = false } }
            if let unit = units[word] {
                guard isEmpty || (unit > 0 && (unit < 10 ? below % 10 == 0 && below % 100 != 10 : below % 100 == 0)) else { return false }
                below += unit
            } else if let ten = tens[word] {
                guard below % 100 == 0 else { return false }
                below += ten
            } else if word == "hundred" {
                guard (1...9).contains(below) else { return false }
                (below, wasHundred) = (below * 100, true)
            } else if word == "thousand" {
                guard below > 0, thousands == 0 else { return false }
                (thousands, below) = (below, 0)
            } else {
                guard below > 0, thousands == 0, millions == 0 else { return false }
                (millions, below) = (below, 0)
            }
            isEmpty = false
            return true
        }
    }

    private static let units = Dictionary(
        uniqueKeysWithValues: [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
            "seventeen", "eighteen", "nineteen",
        ].enumerated().map { ($1, $0) })
    private static let tens = ["twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90]
}
