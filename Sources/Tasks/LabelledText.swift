import ModelFiles

/// A text with its class, from a line of a JSONL file.
public struct LabelledText: Sendable, Equatable {
    public var line: Int
    public var text: String
    /// A second text, such as the hypothesis beside a premise.
    public var pair: String?
    /// As the file writes it: a name or a number.
    public var label: String?

    /// What a model reads of it: texts with the same content are the same, whatever their labels.
    public var content: [String?] { [text, pair] }

    /// Which fields of a line are what.
    public struct Fields: Sendable, Equatable {
        public var text: String
        public var pair: String?
        /// Nil where labels do not matter.
        public var label: String?

        public init(text: String = "text", pair: String? = nil, label: String? = nil) {
            self.text = text
            self.pair = pair
            self.label = label
        }
    }

    /// Reads a file; with `needsLabels` a line without a label is an error.
    /// - Throws: `FileError` that names the line and the field, `JSONError`.
    public static func read(_ path: String, _ fields: Fields, needsLabels: Bool) throws -> [LabelledText] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "It has \(object.members.map { "'\($0.key)'" }.joined(separator: ", ")): say which with --text-field, --pair-field and --label-field.")
            }
            func string(_ name: String) throws -> String {
                guard let value = object[name]?.string else { throw refuse("has no string '\(name)'") }
                return value
            }
            let value = fields.label.flatMap { object[$0] }, label = value.flatMap { $0.string ?? $0.int.map { "\($0)" } }
            if let value, label == nil, value != .null { throw refuse("has the label \(value.text().prefix(40)), which is neither a name nor a whole number") }
            if needsLabels, label == nil { throw refuse("has no label '\(fields.label ?? "")', which must be a string or a whole number") }
            return LabelledText(line: line, text: try string(fields.text), pair: try fields.pair.map(string), label: label)
        }
    }

    /// The class of each text; a label is one of the `names`, or the number of one.
    /// - Throws: `FileError` for a label that is neither.
    public static func classes(_ texts: [LabelledText], names: [String], file: String) throws -> [Int?] {
        try texts.map { text in
            guard let label = text.label else { return nil }
            return try index(of: label, in: names, line: text.line, file: file)
        }
    }

    /// - Throws: `FileError` for a label that is neither a name nor the number of one.
    static func index(of label: String, in names: [String], line: Int, file: String) throws -> Int {
        if let index = names.firstIndex(of: label) { return index }
        if let index = Int(label), names.indices.contains(index) { return index }
        throw FileError(
            file: file, problem: "line \(line) has the label '\(label)', but the classes are \(names.joined(separator: ", "))",
            advice: "A label is the name of a class or its number, from 0. A list of classes has to name all.")
    }
}
