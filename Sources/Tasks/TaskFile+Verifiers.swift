import Foundation
import ModelFiles

/// How a task file names what judges: one verifier with `check`, or several of them under `verifiers`, each with its weight.
///
/// ```yaml
/// check: math
/// verifiers:
///   math: {weight: 1}
///   form: {check: regex, pattern: '(?s).*\\boxed\{[^{}]+\}.*', weight: 0.2}
///   length: {check: external, program: [python3, ./length.py], weight: 0}
/// ```
extension TaskFile {
    /// - Throws: `TaskError` for settings of a verifier that do not fit, with their line.
    func verifier(for settings: QuestionAnswer.Settings) throws -> any Verifier {
        let parts = try section("verifiers")
        for key in Self.verifierKeys where self[key] != nil && (parts != nil || !settings.check.keys.contains(key)) {
            try refuse(key, parts == nil ? "'check: \(settings.check.rawValue)' does not read it." : "Write it behind the part of 'verifiers' that it is for.")
        }
        let isExtracted = settings.check.keys.contains("extraction") && settings.choices == nil && settings.labels == nil
        if parts == nil, !isExtracted { try refuse("extraction", "What judges here reads the whole completion. Leave it out.") }
        if parts == nil, settings.check != .answer || !isExtracted { try refuse("comparison", "What judges here compares in its own way. Leave it out.") }
        guard let parts else { return try verifier(settings.check, for: settings) }
        var judgesAnswers = false
        let judging = try parts.entries.map { entry in
            let part = try parts.section(entry.key) ?? parts
            guard let check = try part.choice("check", QuestionAnswer.Check.self) ?? QuestionAnswer.Check(rawValue: entry.key) else {
                throw TaskError.missingKey(file: source, key: "check", reason: "Say how '\(entry.key)' under 'verifiers' judges: \(QuestionAnswer.Check.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            try part.check(keys: ["check", "weight"] + check.keys)
            judgesAnswers = judgesAnswers || check == .answer
            guard part.reads(check, settings.check) else {
                throw TaskError.badValue(
                    file: source, line: entry.value.line, key: entry.key, value: check.rawValue,
                    reason: "The task's own 'check' is '\(settings.check.rawValue)', so its records hold nothing for this part. Change one of the two, or give a regex its 'pattern' and a schema its 'schema'.")
            }
            return WeightedVerifier.Part(entry.key, weight: try part.double("weight") ?? 1, try part.verifier(check, for: settings))
        }
        if !judgesAnswers { try refuse("extraction", "Write it behind the part of 'verifiers' that it is for.") }
        do {
            return try WeightedVerifier(judging)
        } catch TaskError.badValue(_, _, _, let value, let reason) {
            throw TaskError.badValue(file: source, line: self["verifiers"]?.line, key: "verifiers", value: value, reason: reason)
        }
    }

    /// - Throws: `TaskError` for a key that is given although it has no effect.
    func refuse(_ key: String, _ reason: String) throws {
        guard let value = self[key] else { return }
        throw TaskError.badValue(file: source, line: value.line, key: key, value: shortened(value.text), reason: reason)
    }

    /// Settings of verifiers that stand beside `check` where there is one.
    private static let verifierKeys = ["program", "time-limit", "tolerance", "relative-tolerance", "requires-unit"]

    /// Whether a part of that kind finds what it needs in records of another.
    private func reads(_ check: QuestionAnswer.Check, _ records: QuestionAnswer.Check) -> Bool {
        switch check {
        case .answer, .math, .quantity: ![.regex, .schema, .code].contains(records)
        case .regex, .schema: check == records || self[check == .regex ? "pattern" : "schema"] != nil
        case .code: records == .code
        case .external: true
        }
    }

    /// One verifier, with what this says of it.
    /// - Throws: `TaskError`.
    func verifier(_ check: QuestionAnswer.Check, for settings: QuestionAnswer.Settings) throws -> any Verifier {
        switch check {
        case .answer:
            if settings.choices != nil { return ChoiceVerifier() }
            if let labels = settings.labels {
                if let problem = LabelVerifier.problem(with: labels) {
                    throw TaskError.badValue(file: source, line: self["labels"]?.line, key: "labels", value: labels.joined(separator: ", "), reason: problem)
                }
                return LabelVerifier(labels)
            }
            let comparison = try choice("comparison", AnswerVerifier.Comparison.self)
            return AnswerVerifier(extraction: try extraction("extraction") ?? comparison.map(AnswerExtraction.usual) ?? settings.extraction, comparison: comparison ?? settings.comparison)
        case .math: return MathVerifier()
        case .quantity:
            let tolerance = Quantity.Tolerance(absolute: try notNegative("tolerance") ?? 0, relative: try notNegative("relative-tolerance") ?? 0)
            let requiresUnit = try bool("requires-unit") ?? false
            guard let extraction = try extraction("extraction") else { return QuantityVerifier(tolerance: tolerance, requiresUnit: requiresUnit) }
            return QuantityVerifier(extraction: extraction, tolerance: tolerance, requiresUnit: requiresUnit)
        case .regex:
            let extent = try choice("extent", RegexVerifier.Extent.self) ?? .whole
            return try string("pattern").map { try named("pattern", RegexVerifier($0, extent: extent)) } ?? RegexVerifier(extent: extent)
        case .schema:
            guard let schema = collection("schema")?.json else { return SchemaVerifier() }
            return SchemaVerifier(try named("schema", schema.string.map(JSONSchema.init(parsing:)) ?? JSONSchema(schema)))
        case .code: return CodeVerifier(timeLimit: try duration("time-limit") ?? CodeTask.timeLimit)
        case .external:
            let program = try required("program", program("program"), "'check: external' needs it: the path of a program, or a list of it and its arguments.")
            return ExternalVerifier(program: program[0], arguments: Array(program.dropFirst()), timeLimit: try duration("time-limit") ?? .seconds(30))
        }
    }

    /// What is made of a key's value; an error says where that stands.
    private func named<Made>(_ key: String, _ make: @autoclosure () throws -> Made) throws -> Made {
        do {
            return try make()
        } catch {
            throw TaskError.badValue(file: source, line: self[key]?.line, key: key, value: shortened(self[key]?.text ?? ""), reason: "\(error)")
        }
    }

    private func notNegative(_ key: String) throws -> Double? {
        guard let number = try double(key) else { return nil }
        guard number >= 0 else { throw TaskError.badValue(file: source, line: self[key]?.line, key: key, value: "\(number)", reason: "It must be 0 or more.") }
        return number
    }

    /// Seconds, above 0 and at most a day.
    func duration(_ key: String) throws -> Duration? {
        guard let seconds = try double(key) else { return nil }
        guard seconds > 0, seconds <= 86_400 else { throw TaskError.badValue(file: source, line: self[key]?.line, key: key, value: "\(seconds)", reason: "Give seconds, above 0 and at most a day.") }
        return .seconds(seconds)
    }

    // MARK: - Programs

    /// Settings in which programs stand.
    static let programKeys: Set<String> = ["program", "verifiers"]

    /// A program that exists and its arguments. What begins with `./` or `../` starts at the file's folder; a program without a slash is looked for in PATH.
    private func program(_ key: String) throws -> [String]? {
        guard let parts = try strings(key)?.map(rooted) else { return nil }
        let name = parts.first ?? ""
        let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":").map(String.init) ?? []
        let places = name.hasPrefix("/") ? [name] : name.isEmpty || name.contains("/") ? [] : folders.map { "\($0)/\(name)" }
        func isProgram(_ path: String) -> Bool {
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue && FileManager.default.isExecutableFile(atPath: path)
        }
        guard let path = places.first(where: isProgram) else {
            throw TaskError.badValue(
                file: source, line: self[key]?.line, key: key, value: name,
                reason: "There is no such program that may be run. Name one that is in PATH, or give a path that begins with '/', or with './', the file's folder.")
        }
        return [path] + parts.dropFirst()
    }

    private func rooted(_ text: String) -> String {
        text.hasPrefix("./") || text.hasPrefix("../") ? folder.appendingPathComponent(text).standardizedFileURL.path : text
    }

    /// A value with the paths of every `program` in it made absolute.
    func rooted(_ value: TaskValue, of key: String) -> TaskValue {
        switch value.content {
        case .scalar(let text, let isPlain): key == "program" ? TaskValue(.scalar(rooted(text), isPlain: isPlain), line: value.line) : value
        case .list(let items): TaskValue(.list(items.map { rooted($0, of: key) }), line: value.line)
        case .map(let entries): TaskValue(.map(entries.map { TaskEntry(key: $0.key, value: rooted($0.value, of: $0.key)) }), line: value.line)
        }
    }
}

extension QuestionAnswer.Check {
    /// What may be said of such a verifier.
    var keys: [String] {
        switch self {
        case .answer: ["extraction", "comparison"]
        case .math: []
        case .quantity: ["extraction", "tolerance", "relative-tolerance", "requires-unit"]
        case .regex: ["pattern", "extent"]
        case .schema: ["schema"]
        case .code: ["time-limit"]
        case .external: ["program", "time-limit"]
        }
    }
}

extension TaskValue {
    /// The text of a scalar, or what else it is.
    fileprivate var text: String { if case .scalar(let text, _) = content { text } else { kind } }

    fileprivate var json: JSON {
        switch content {
        case .scalar(let text, let isPlain): isPlain ? (try? JSON.parse(text, source: "")) ?? .string(text) : .string(text)
        case .list(let items): .array(items.map(\.json))
        case .map(let entries): .object(JSONObject(entries.map { (key: $0.key, value: $0.value.json) }))
        }
    }
}
