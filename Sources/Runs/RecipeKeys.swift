/// A recipe as dotted keys and the text of their values: `sampling.temperature` → `0.7`, `stops[0]` → `Q:`.
///
/// Reads the block style that recipes are written in; a flow collection (`[a, b]`) is one value. It compares recipes, it
/// does not check them: whoever runs one has parsed it with all of YAML.
public struct RecipeKeys: Equatable, Sendable {
    public private(set) var values: [String: String] = [:]

    public init(yaml: String) {
        var open: [Context] = []
        /// The scalar that deeper lines continue.
        var last: (key: String, indent: Int, isBlock: Bool)?
        for line in yaml.split(separator: "\n", omittingEmptySubsequences: false) {
            let indent = line.prefix { $0 == " " }.count
            let content = line.dropFirst(indent).drop { $0 == "\r" }
            if let scalar = last, indent > scalar.indent || (content.isEmpty && scalar.isBlock) {
                if scalar.isBlock {
                    values[scalar.key]! += "\n" + line  // with its indentation, which is part of the text
                } else if !content.isEmpty, !content.hasPrefix("#") {
                    values[scalar.key]! += " " + content
                }
                continue
            }
            if content.isEmpty || content.hasPrefix("#") || content == "---" || content == "..." { continue }
            last = nil
            read(content, indent: indent, open: &open, last: &last)
        }
        // A key without a value is a parent, unless nothing came.
        for key in values.keys where values[key] == "" {
            if values.keys.contains(where: { $0.hasPrefix(key + ".") || $0.hasPrefix(key + "[") }) { values[key] = nil }
        }
        for (key, value) in values { values[key] = Self.plain(value) }
    }

    /// What differs, in order of keys; where a run was begun is no difference.
    public func differences(to other: RecipeKeys) -> [RecipeDifference] {
        Set(values.keys).union(other.values.keys).subtracting(["folder"]).sorted().compactMap { key in
            values[key] == other.values[key] ? nil : RecipeDifference(key: key, first: values[key], second: other.values[key])
        }
    }

    // MARK: -

    private struct Context {
        enum Kind { case key, list, item }
        var kind: Kind
        var indent: Int
        var path: String
        var count = 0
    }

    private mutating func read(_ content: Substring, indent: Int, open: inout [Context], last: inout (key: String, indent: Int, isBlock: Bool)?) {
        if content == "-" || content.hasPrefix("- ") {
            // A list may stand as deep as its key.
            while let top = open.last, top.indent > indent || (top.indent == indent && top.kind == .item) { open.removeLast() }
            if open.last?.kind != .list { open.append(Context(kind: .list, indent: indent, path: open.last?.path ?? "")) }
            let list = open.count - 1
            let path = "\(open[list].path)[\(open[list].count)]"
            open[list].count += 1
            let rest = content.dropFirst().drop { $0 == " " }
            if rest.isEmpty || rest == "-" || rest.hasPrefix("- ") || Self.keyEnd(rest) != nil {
                open.append(Context(kind: .item, indent: indent, path: path))
                if !rest.isEmpty { read(rest, indent: indent + content.count - rest.count, open: &open, last: &last) }
            } else {
                take(rest, for: path, indent: indent, last: &last)
            }
            return
        }
        while let top = open.last, top.indent >= indent { open.removeLast() }
        guard let end = Self.keyEnd(content) else {
            values["line '\(content)'"] = ""  // not what we read: still compared
            return
        }
        let name = Self.plain(String(content[..<end]))
        let path = (open.last?.path).map { $0.isEmpty ? name : "\($0).\(name)" } ?? name
        let value = content[content.index(after: end)...].drop { $0 == " " }
        if value.isEmpty || value.hasPrefix("#") {
            values[path] = ""
            open.append(Context(kind: .key, indent: indent, path: path))
        } else {
            take(value, for: path, indent: indent, last: &last)
        }
    }

    private mutating func take(_ value: Substring, for key: String, indent: Int, last: inout (key: String, indent: Int, isBlock: Bool)?) {
        values[key] = String(value)
        last = (key, indent, value.hasPrefix("|") || value.hasPrefix(">"))
    }

    /// The colon that ends a key: outside quotes, before a space or the end.
    private static func keyEnd(_ content: Substring) -> Substring.Index? {
        var quote: Character?
        var index = content.startIndex
        if content.first == "{" || content.first == "[" { return nil }
        while index < content.endIndex {
            let character = content[index]
            if let open = quote {
                if character == open { quote = nil }
            } else if index == content.startIndex, character == "\"" || character == "'" {
                quote = character
            } else if character == ":" {
                let next = content.index(after: index)
                if next == content.endIndex || content[next] == " " { return index }
            }
            index = content.index(after: index)
        }
        return nil
    }

    /// Without the quotes around it, or the comment behind it.
    private static func plain(_ value: String) -> String {
        if let quote = value.first, quote == "\"" || quote == "'" {
            let end = value.lastIndex(of: quote)!
            let rest = value[value.index(after: end)...].drop { $0 == " " }
            return end > value.startIndex && (rest.isEmpty || rest.hasPrefix("#")) ? String(value[..<end].dropFirst()) : value
        }
        var value = value
        if let comment = value.range(of: " #"), !value.hasPrefix("|"), !value.hasPrefix(">") { value = String(value[..<comment.lowerBound]) }
        while value.last == " " || value.last == "\n" { value.removeLast() }
        return value
    }
}

/// A key that two recipes do not agree on.
public struct RecipeDifference: Equatable, Sendable, CustomStringConvertible {
    public var key: String
    /// `nil` where the recipe does not have the key.
    public var first: String?
    public var second: String?

    public var description: String { "\(key): \(first.map { "'\($0)'" } ?? "absent") → \(second.map { "'\($0)'" } ?? "absent")" }
}
