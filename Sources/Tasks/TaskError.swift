/// A task that cannot be made: its file, its data or what was asked of it is wrong.
public enum TaskError: Error, Equatable, CustomStringConvertible {
    case unknownTask(name: String, known: [String], nearest: String?)
    case unknownKey(file: String, line: Int?, key: String, known: [String], nearest: String?)
    case missingKey(file: String, key: String, reason: String)
    case wrongType(file: String, line: Int?, key: String, expected: String, found: String)
    case badValue(file: String, line: Int?, key: String, value: String, reason: String)
    case badYAML(file: String, line: Int?, reason: String)
    case unreadableFile(path: String, reason: String)
    /// A file of a task by name is not in its data folder. `origin`: where it is published, and what it must hold.
    case missingData(path: String, task: String, origin: String)
    case badRecord(file: String, line: Int, reason: String)
    case badProblem(id: String, reason: String)
    case badSchema(pointer: String, reason: String)
    case emptySplit(task: String, split: Split, reason: String)
    case noHint(task: String, problem: String, reason: String)

    public var description: String {
        switch self {
        case .unknownTask(let name, let known, let nearest):
            "There is no task '\(name)'\(Self.suggestion(nearest)) "
                + "Known tasks: \(known.joined(separator: ", ")). Or give the path of a task's YAML file."
        case .unknownKey(let file, let line, let key, let known, let nearest):
            "\(Self.place(file, line)): unknown key '\(key)'\(Self.suggestion(nearest)) "
                + "Keys understood here: \(known.joined(separator: ", "))."
        case .missingKey(let file, let key, let reason):
            "\(file): the key '\(key)' is missing. \(reason)"
        case .wrongType(let file, let line, let key, let expected, let found):
            "\(Self.place(file, line)): '\(key)' must be \(expected), but it is \(found). Correct its value."
        case .badValue(let file, let line, let key, let value, let reason):
            "\(Self.place(file, line)): '\(key)' cannot be '\(value)'. \(reason)"
        case .badYAML(let file, let line, let reason):
            "\(Self.place(file, line)): this is not a task file in YAML: \(reason) "
                + "A task file is one mapping, with a line such as 'type: jsonl'."
        case .unreadableFile(let path, let reason):
            "\(path): cannot be read: \(reason) Check the path; paths in a task file start at the file's own folder."
        case .missingData(let path, let task, let origin):
            "\(path): the task '\(task)' needs this file, which is not there. \(origin) "
                + "Put it there, or name the folder it is in with data-dir=FOLDER or the environment variable AUTODIDACT_DATA."
        case .badRecord(let file, let line, let reason):
            "\(file):\(line): \(reason)"
        case .badProblem(let id, let reason):
            "Problem '\(id)': \(reason)"
        case .badSchema(let pointer, let reason):
            "JSON Schema at '\(pointer)': \(reason)"
        case .emptySplit(let task, let split, let reason):
            "Task '\(task)' has no \(split.rawValue) problems. \(reason)"
        case .noHint(let task, let problem, let reason):
            "Task '\(task)' has no hint for problem '\(problem)': \(reason)"
        }
    }

    private static func place(_ file: String, _ line: Int?) -> String { line.map { "\(file):\($0)" } ?? file }
    private static func suggestion(_ nearest: String?) -> String { nearest.map { "; did you mean '\($0)'?" } ?? "." }
}
