/// A text with `{question}`, `{choices}`, `{answer}`, `{rationale}` and `{demand}` to be filled in.
///
/// All places are filled at once: braces within a question are left as they are.
struct PromptTemplate: Sendable, Equatable {
    enum Place: String, CaseIterable, Sendable { case question, choices, answer, rationale, demand }
    private enum Part: Equatable { case literal(String), place(Place) }
    private var parts: [Part] = []

    /// - Parameters:
    ///   - allowed: a prompt must not hold the answer, for example.
    ///   - key: where the template stands, for the error.
    /// - Throws: `TaskError.badValue` for a place that is not allowed, or braces around another name.
    init(_ text: String, allowed: [Place], file: String, key: String) throws {
        var literal = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            literal += rest[..<open]
            let inside = rest[rest.index(after: open)...]
            if let close = inside.firstIndex(of: "}"), close > inside.startIndex,
                inside[..<close].allSatisfy({ $0.isLetter || $0 == "_" || $0 == "-" })
            {
                let name = String(inside[..<close])
                guard let place = Place(rawValue: name), allowed.contains(place) else {
                    let known = allowed.map { "{\($0.rawValue)}" }.joined(separator: ", ")
                    throw TaskError.badValue(file: file, line: nil, key: key, value: text, reason: "'{\(name)}' cannot be filled in here; use \(known).")
                }
                parts += [.literal(literal), .place(place)]
                literal = ""
                rest = inside[inside.index(after: close)...]
            } else {
                literal += "{"
                rest = inside
            }
        }
        parts.append(.literal(literal + rest))
    }

    func has(_ place: Place) -> Bool { parts.contains(.place(place)) }

    /// The text before the first place.
    var opening: String { if case .literal(let text) = parts[0] { text } else { "" } }

    func filled(question: String, choices: String = "", answer: String = "", rationale: String = "", demand: String = "") -> String {
        parts.map { part in
            switch part {
            case .literal(let text): text
            case .place(.question): question
            case .place(.choices): choices
            case .place(.answer): answer
            case .place(.rationale): rationale
            case .place(.demand): demand
            }
        }.joined()
    }
}
