import Foundation
import ModelFiles
import Yams

/// A value of a task file, with the line it stood on.
public struct TaskValue: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        /// `isPlain`: written without quotation marks, so that it may be a number or a truth value.
        case scalar(String, isPlain: Bool)
        case list([TaskValue])
        case map([TaskEntry])
    }
    public var content: Content
    /// Counted from 1; `nil` for values that were not read from a file.
    public var line: Int?

    public init(_ content: Content, line: Int? = nil) {
        self.content = content
        self.line = line
    }

    /// Lines are not compared.
    public static func == (a: TaskValue, b: TaskValue) -> Bool { a.content == b.content }

    /// What it is, for errors.
    var kind: String {
        switch content {
        case .scalar("", isPlain: true): "left empty"
        case .scalar(let text, _): "'\(shortened(text))'"
        case .list: "a list"
        case .map: "a mapping"
        }
    }
}

/// One `key: value` of a task file.
public struct TaskEntry: Sendable, Equatable {
    public var key: String
    public var value: TaskValue

    public init(key: String, value: TaskValue) {
        self.key = key
        self.value = value
    }
}

/// A task described without code: one YAML mapping whose `type` names a kind of task.
///
/// ```yaml
/// name: gsm8k
/// type: jsonl
/// train: gsm8k_train.jsonl
/// test: gsm8k_test.jsonl
/// rationale: answer
/// few-shot: 5
/// stops: ["Question:"]
/// ```
/// Paths start at the file's folder. What is read is checked: unknown keys and values of another type are refused.
public struct TaskFile: Sendable, Equatable {
    public private(set) var entries: [TaskEntry]
    /// The file's name, for errors.
    public let source: String
    /// Where relative paths start.
    public let folder: URL

    /// - Throws: `TaskError` for an unreadable file, broken YAML, or anything but a mapping.
    public init(at url: URL) throws {
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            throw TaskError.unreadableFile(path: url.path, reason: (error as NSError).localizedDescription)
        }
        guard let yaml = String(validating: data, as: UTF8.self) else {
            throw TaskError.badYAML(file: url.lastPathComponent, line: nil, reason: "it is not UTF-8 text.")
        }
        try self.init(yaml: yaml, source: url.lastPathComponent, folder: url.deletingLastPathComponent())
    }

    public init(yaml: String, source: String = "task", folder: URL) throws {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw Self.explained(error, source: source)
        }
        guard let root, case .map(let entries) = try Self.value(of: root, source: source).content else {
            throw TaskError.badYAML(file: source, line: nil, reason: "it holds no mapping.")
        }
        self.init(entries: entries, source: source, folder: folder)
    }

    /// A task described in code or on a command line: each setting is what would stand behind the colon of a file. Where a list or a mapping
    /// belongs it is `[…]` or `{…}`; elsewhere these are a text like any other. Only a text that looks otherwise needs quotation marks.
    public init(type: String, settings: [String: String] = [:], folder: URL) {
        let file = TaskFile(entries: [TaskEntry(key: "type", value: TaskValue(.scalar(type, isPlain: true)))], source: "task \(type)", folder: folder)
        self = file.setting(settings.filter { $0.key != "type" })
    }

    /// A task file with what a command line says in place of its own values, named as the file where it does not name itself. Paths said on the command line start at the
    /// current folder, those in the file at its own.
    /// - Parameters:
    ///   - path: of the file.
    ///   - settings: texts by their keys.
    /// - Throws: `TaskError`, `FileError`.
    public static func read(_ path: String, replacing settings: [String: String]) throws -> TaskFile {
        let file = try TaskFile(at: URL(fileURLWithPath: path)), here = URL(fileURLWithPath: FileManager.default.currentDirectoryPath, isDirectory: true)
        let whole = file.setting(try TaskFile(type: (try? file.string("type")) ?? "task", settings: settings, folder: here).settings())
        return try whole.string("name") == nil ? whole.setting(["name": URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent]) : whole
    }

    /// The same file with some values replaced or added.
    public func setting(_ settings: [String: String]) -> TaskFile {
        var file = self
        for (key, text) in settings.sorted(by: { $0.key < $1.key }) {
            let entry = TaskEntry(key: key, value: Self.given(text))
            if let index = file.entries.firstIndex(where: { $0.key == key }) { file.entries[index] = entry } else { file.entries.append(entry) }
        }
        return file
    }

    private static func given(_ text: String) -> TaskValue {
        // In quotation marks, and nothing behind them: as JSON writes it, or as we do.
        if text.hasPrefix("\"") {
            if let quoted = (try? JSON.parse(text, source: "settings"))?.string { return TaskValue(.scalar(quoted, isPlain: false)) }
            if let quoted = (try? Yams.compose(yaml: text))?.scalar?.string, (try? flow(TaskValue(.scalar(quoted, isPlain: false)))) == text {
                return TaskValue(.scalar(quoted, isPlain: false))
            }
        }
        return TaskValue(.scalar(text, isPlain: true))
    }

    /// The same file, and what it leaves open as `defaults` say it; paths start at the folder of those.
    func completed(by defaults: TaskFile) -> TaskFile {
        TaskFile(entries: entries + defaults.entries.filter { self[$0.key] == nil }, source: source, folder: defaults.folder)
    }

    /// A value in one line of YAML.
    private static func flow(_ value: TaskValue) throws -> String {
        try Yams.serialize(node: node(of: value), width: -1, allowUnicode: true).trimmingCharacters(in: .newlines)
    }

    /// What `init(type:settings:folder:)` makes an equal task of. Paths below `folder` are relative to it, others and those of programs absolute.
    public func settings(in folder: URL? = nil) throws -> [String: String] {
        let below = folder.map { $0.standardizedFileURL.path + "/" }
        return try Dictionary(
            entries.filter { $0.key != "type" }.map { entry in
                let value = Self.programKeys.contains(entry.key) ? rooted(collection(entry.key) ?? entry.value, of: entry.key) : entry.value
                switch value.content {
                case .scalar where Self.pathKeys.contains(entry.key):
                    let path = try path(entry.key)?.standardizedFileURL.path ?? ""
                    return (entry.key, below.map(path.hasPrefix) == true ? String(path.dropFirst(below!.count)) : path)
                case .scalar(let text, let isPlain) where isPlain || (!text.isEmpty && !"{[\"".contains(text.first!)): return (entry.key, text)
                default: return (entry.key, try Self.flow(value))
                }
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Settings that are paths.
    private static let pathKeys: Set<String> = ["data", "train", "dev", "test", "few-shot-data", "data-dir"]

    private init(entries: [TaskEntry], source: String, folder: URL) {
        self.entries = entries
        self.source = source
        self.folder = folder
    }

    /// The task's own name; without one, its type.
    public var name: String {
        for key in ["name", "type"] {
            if case .scalar(let text, _) = self[key]?.content, !text.isEmpty { return text }
        }
        return source
    }

    subscript(_ key: String) -> TaskValue? { entries.first { $0.key == key }?.value }

    /// The value where a list or a mapping may stand: a plain text with brackets is one that stood on a command line.
    func collection(_ key: String) -> TaskValue? {
        guard let value = self[key], case .scalar(let text, isPlain: true) = value.content, text.hasPrefix("{") || text.hasPrefix("["),
            let node = try? Yams.compose(yaml: text)
        else { return self[key] }
        return (try? Self.value(of: node, source: source)) ?? value
    }

    // MARK: - Reading with types

    /// - Throws: `TaskError.unknownKey` for the first key that is not known.
    func check(keys known: [String]) throws {
        for entry in entries where !known.contains(entry.key) {
            throw TaskError.unknownKey(
                file: source, line: entry.value.line, key: entry.key, known: known,
                nearest: nearestName(to: entry.key, in: known))
        }
    }

    /// The value, or the error that says which key is missing and what belongs there.
    func required<Value>(_ key: String, _ value: Value?, _ reason: String) throws -> Value {
        guard let value else { throw TaskError.missingKey(file: source, key: key, reason: reason) }
        return value
    }

    public func string(_ key: String) throws -> String? {
        guard let value = self[key] else { return nil }
        guard case .scalar(let text, let isPlain) = value.content, !(isPlain && text.isEmpty) else { throw wrongType(key, value, "a text") }
        return text
    }

    public func bool(_ key: String) throws -> Bool? {
        guard let value = self[key] else { return nil }
        switch value.content {
        case .scalar("true", isPlain: true): return true
        case .scalar("false", isPlain: true): return false
        default: throw wrongType(key, value, "true or false")
        }
    }

    public func double(_ key: String) throws -> Double? {
        guard let value = self[key] else { return nil }
        guard case .scalar(let text, isPlain: true) = value.content, let number = Double(text), number.isFinite else {
            throw wrongType(key, value, "a number")
        }
        return number
    }

    /// A whole number, 0 or more.
    public func count(_ key: String) throws -> Int? {
        guard let value = self[key] else { return nil }
        guard case .scalar(let text, isPlain: true) = value.content, let number = Int(text), number >= 0 else {
            throw wrongType(key, value, "a whole number, 0 or more")
        }
        return number
    }

    func seed(_ key: String) throws -> UInt64? {
        guard let value = self[key] else { return nil }
        guard case .scalar(let text, isPlain: true) = value.content, let number = UInt64(text) else {
            throw wrongType(key, value, "a whole number, 0 or more")
        }
        return number
    }

    /// "3", "1-5", or the list [1, 5].
    func range(_ key: String) throws -> ClosedRange<Int>? {
        guard let value = collection(key) else { return nil }
        let parts: [String] =
            switch value.content {
            case .scalar(let text, _): text.split(separator: "-", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
            case .list: try strings(key) ?? []
            case .map: []
            }
        let bounds = parts.compactMap { Int($0) }
        guard bounds.count == parts.count, (1...2).contains(bounds.count), bounds[0] <= bounds[bounds.count - 1] else {
            throw wrongType(key, value, "a range such as 1-5")
        }
        return bounds[0]...bounds[bounds.count - 1]
    }

    /// A list of texts, or a single one.
    public func strings(_ key: String) throws -> [String]? {
        guard let value = collection(key) else { return nil }
        guard case .list(let items) = value.content else { return try string(key).map { [$0] } }
        return try items.map { item in
            guard case .scalar(let text, _) = item.content else { throw wrongType(key, item, "a list of texts") }
            return text
        }
    }

    /// A path; a relative one starts at the file's folder.
    func path(_ key: String) throws -> URL? {
        precondition(Self.pathKeys.contains(key), "'\(key)' is not among the settings that are paths")
        return try string(key).map { $0.hasPrefix("/") ? URL(fileURLWithPath: $0) : folder.appendingPathComponent($0) }
    }

    func choice<Value: RawRepresentable & CaseIterable>(_ key: String, _: Value.Type) throws -> Value? where Value.RawValue == String {
        guard let text = try string(key) else { return nil }
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue)
        let nearest = nearestName(to: text, in: known).map { "Did you mean '\($0)'? " } ?? ""
        throw TaskError.badValue(
            file: source, line: self[key]?.line, key: key, value: text, reason: "\(nearest)Possible: \(known.joined(separator: ", ")).")
    }

    /// The mapping under a key.
    func section(_ key: String) throws -> TaskFile? {
        guard let value = collection(key) else { return nil }
        guard case .map(let entries) = value.content else { throw wrongType(key, value, "a mapping") }
        return TaskFile(entries: entries, source: source, folder: folder)
    }

    /// The mapping under a key, of texts only.
    func texts(_ key: String) throws -> [String: String]? {
        guard let section = try section(key) else { return nil }
        return try Dictionary(section.entries.map { ($0.key, try section.string($0.key) ?? "") }, uniquingKeysWith: { first, _ in first })
    }

    func extraction(_ key: String) throws -> AnswerExtraction? {
        guard let names = try strings(key) else { return nil }
        do {
            return try AnswerExtraction(named: names)
        } catch TaskError.badValue(_, _, _, let value, let reason) {
            throw TaskError.badValue(file: source, line: self[key]?.line, key: key, value: value, reason: reason)
        }
    }

    /// `{dev: 0.1, test: 0.1, by: near-duplicates}`
    func splitting(_ key: String) throws -> Splitting? {
        guard let section = try section(key) else { return nil }
        try section.check(keys: ["dev", "test", "by"])
        let (dev, test) = (try section.double("dev") ?? 0.1, try section.double("test") ?? 0.1)
        guard dev >= 0, test >= 0, dev + test < 1 else {
            throw TaskError.badValue(
                file: source, line: self[key]?.line, key: key, value: "dev \(dev), test \(test)", reason: "Shares are 0 or more, together less than 1; the rest is train.")
        }
        return Splitting(dev: dev, test: test, grouping: try section.choice("by", Splitting.Grouping.self) ?? .nearDuplicates)
    }

    private func wrongType(_ key: String, _ value: TaskValue, _ expected: String) -> TaskError {
        .wrongType(file: source, line: value.line, key: key, expected: expected, found: value.kind)
    }

    // MARK: - YAML

    private static func value(of node: Node, source: String) throws -> TaskValue {
        let line = node.mark?.line
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return TaskValue(.scalar(scalar.string, isPlain: isPlain), line: line)
        case .sequence(let items):
            return TaskValue(.list(try items.map { try value(of: $0, source: source) }), line: line)
        case .mapping(let pairs):
            return TaskValue(
                .map(
                    try pairs.map { pair in
                        guard let key = pair.key.scalar?.string else {
                            throw TaskError.badYAML(file: source, line: pair.key.mark?.line, reason: "a key is not a plain word.")
                        }
                        return TaskEntry(key: key, value: try value(of: pair.value, source: source))
                    }), line: line)
        default:
            throw TaskError.badYAML(file: source, line: line, reason: "aliases are not understood; write the value out.")
        }
    }

    private static func node(of value: TaskValue) -> Node {
        switch value.content {
        case .scalar(let text, let isPlain):
            .scalar(Node.Scalar(text, isPlain ? Tag(.implicit) : Tag(.str), isPlain ? .plain : .doubleQuoted))
        case .list(let items):
            .sequence(Node.Sequence(items.map(node), Tag(.seq), .flow))
        case .map(let entries):
            .mapping(Node.Mapping(entries.map { (Node($0.key), node(of: $0.value)) }, Tag(.map), .flow))
        }
    }

    private static func explained(_ error: any Error, source: String) -> TaskError {
        switch error {
        case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
            YamlError.composer(_, let problem, let mark, _):
            .badYAML(file: source, line: mark.line, reason: "\(problem).")
        case YamlError.duplicatedKeysInMapping(let duplicates, let context):
            .badYAML(
                file: source, line: context.mark.line,
                reason: "the key \(duplicates.sorted().map { "'\($0)'" }.joined(separator: ", ")) stands twice.")
        default:
            .badYAML(file: source, line: nil, reason: "\(error).")
        }
    }
}
