import Foundation
import ModelFiles

/// A kind of task that a task file can name as its `type`.
public struct TaskKind: Sendable {
    public let name: String
    /// One line for lists.
    public let summary: String
    /// What its task files may say, besides `name` and `type`.
    public let keys: [String]
    let make: @Sendable (TaskFile) throws -> any Environment

    /// A kind of task whose `make` reads the settings of a task file; the file's keys are already checked.
    public init(name: String, summary: String, keys: [String], make: @escaping @Sendable (TaskFile) throws -> any Environment) {
        self.name = name
        self.summary = summary
        self.keys = keys
        self.make = make
    }
}

/// The kinds of tasks that can be named.
public struct TaskRegistry: Sendable {
    public let kinds: [TaskKind]

    public init(_ kinds: [TaskKind]) {
        precondition(Set(kinds.map(\.name)).count == kinds.count, "two kinds of task have one name")
        self.kinds = kinds
    }

    public static let builtIn = TaskRegistry([
        .addition,
        .instructions,
        .jsonl,
    ] + NamedTask.builtIn.map(TaskKind.init) + [.humaneval, .mbpp])

    /// What a kind of task may be told; empty for an unknown one.
    public func keys(of name: String) -> [String] { kinds.first { $0.name == name }?.keys ?? [] }

    /// A task of one of these kinds, with settings as a task file would write them (`["digits": "1-3"]`).
    ///
    /// Relative paths start at `folder`.
    /// - Throws: `TaskError`.
    public func environment(
        named name: String, settings: [String: String] = [:], folder: URL = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
    ) throws -> any Environment {
        try environment(TaskFile(type: name, settings: settings, folder: folder))
    }

    /// The task that a YAML file describes.
    /// - Throws: `TaskError`.
    public func environment(at url: URL) throws -> any Environment { try environment(TaskFile(at: url)) }

    /// - Throws: `TaskError`.
    public func environment(_ file: TaskFile) throws -> any Environment {
        let names = kinds.map(\.name)
        let type = try file.required("type", file.string("type"), "Name the kind of task: \(names.joined(separator: ", ")).")
        guard let kind = kinds.first(where: { $0.name == type }) else {
            throw TaskError.unknownTask(name: type, known: names, nearest: nearestName(to: type, in: names))
        }
        try file.check(keys: ["name", "type"] + kind.keys)
        _ = try file.string("name")
        return try kind.make(file)
    }
}
