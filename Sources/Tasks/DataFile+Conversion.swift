import Foundation
import ModelFiles
import Yams

extension DataFile {
    /// The published file.
    public var address: String { "\(source)/raw/\(commit)/\(path)" }

    /// Whether `converted` makes this file from the published one. Some need several published files, or a judgement for each record.
    public var isConvertible: Bool { Self.conversions[name] != nil }

    /// The published file in the form that the task reads, which is the one of `sha256` where upstream has not changed.
    /// - Parameter published: its bytes.
    /// - Returns: one JSON object a line.
    /// - Throws: `TaskError.unreadableFile` for another kind of file, `TaskError.badRecord` for a record without the fields that are known, `FileError` for a damaged archive, `JSONError`.
    public func converted(_ published: Data) throws -> Data {
        guard let conversion = Self.conversions[name] else { throw TaskError.unreadableFile(path: address, reason: "it takes more than this file to make \(name).") }
        let content = GzipProgram.isPacked(published) ? try GzipProgram.unpack(published, limit: 1 << 28, source: address) : published
        var lines = Data()
        for (index, record) in try conversion.layout.records(content, address).enumerated() {
            let fields = PublishedRecord(object: record, file: address, number: index + 1)
            lines += JSON.object(JSONObject(try conversion.fields(fields, index))).text().utf8
            lines.append(UInt8(ascii: "\n"))
        }
        return lines
    }

    /// The published files that a task by name reads; nil for another task.
    public static func files(of task: String) -> [DataFile]? {
        switch task {
        case "humaneval": [.humaneval]
        case "mbpp": [.mbpp]
        default: NamedTask.builtIn.first { $0.name == task }?.files
        }
    }

    /// Where the files of tasks are when nobody says otherwise: in the folder of the environment variable AUTODIDACT_DATA, else in `data` of another folder.
    public static func usualFolder(in folder: URL) -> URL {
        ProcessInfo.processInfo.environment["AUTODIDACT_DATA"].map { URL(fileURLWithPath: $0, isDirectory: true) } ?? folder.appendingPathComponent("data", isDirectory: true)
    }
}

/// How records lie in a published file.
private enum Layout {
    /// One JSON object a line.
    case lines
    /// A list, in JSON.
    case list
    /// A list under these keys, in JSON or YAML.
    case under([String])

    func records(_ content: Data, _ file: String) throws -> [JSONObject] {
        func refuse(_ reason: String) -> TaskError { .unreadableFile(path: file, reason: reason) }
        func objects(_ list: JSON?) throws -> [JSONObject] {
            guard let objects = list?.array?.map(\.object), !objects.isEmpty, !objects.contains(where: { $0 == nil }) else { throw refuse("it holds no list of records where one was published.") }
            return objects.compactMap(\.self)
        }
        switch self {
        case .lines:
            let lines = content.split(separator: UInt8(ascii: "\n")).filter { $0.contains { $0 > 0x20 } }
            return try objects(.array(lines.enumerated().map { try JSON.parse(Data($1), source: "\(file), line \($0 + 1)") }))
        case .list: return try objects(JSON.parse(content, source: file))
        case .under(let keys):
            // JSON is YAML too, but a longer file of it is read faster as what it is.
            if content.first == UInt8(ascii: "{") { return try objects(keys.reduce(JSON.parse(content, source: file)) { $0?[$1] }) }
            guard let text = String(validating: content, as: UTF8.self), let root = try? Yams.compose(yaml: text) else { throw refuse("it is not the YAML that was published.") }
            guard let list = keys.reduce(root, { $0?[$1] })?.sequence else { throw refuse("it has no '\(keys.joined(separator: "."))'.") }
            return try list.map { record in
                guard let fields = record.mapping else { throw refuse("it holds no list of records where one was published.") }
                return JSONObject(fields.compactMap { key, value in key.string.flatMap { key in value.string.map { (key, .string($0)) } } })
            }
        }
    }
}

/// One record as it is published.
private struct PublishedRecord {
    let object: JSONObject
    let file: String
    /// From 1.
    let number: Int

    private func refuse(_ field: String, _ kind: String) -> TaskError {
        .badRecord(file: file, line: number, reason: "record \(number) has no \(kind) '\(field)'. Upstream has changed it: see docs/tasks.md for what the task reads.")
    }

    func json(_ field: String) throws -> JSON {
        guard let value = object[field] else { throw refuse(field, "field") }
        return value
    }

    func text(_ field: String) throws -> String {
        guard let text = object[field]?.string else { throw refuse(field, "text") }
        return text
    }

    func trimmed(_ field: String) throws -> String { try text(field).trimmingCharacters(in: .whitespacesAndNewlines) }

    func whole(_ field: String) throws -> Int {
        guard let number = object[field]?.int else { throw refuse(field, "whole number") }
        return number
    }

    func decimal(_ field: String) throws -> Double {
        guard let number = object[field]?.double else { throw refuse(field, "number") }
        return number
    }

    func list(_ field: String) throws -> [JSON] {
        guard let list = object[field]?.array, !list.isEmpty else { throw refuse(field, "list") }
        return list
    }

    func texts(_ field: String) throws -> [String] {
        let texts = try list(field).compactMap(\.string)
        guard try texts.count == list(field).count else { throw refuse(field, "list of texts") }
        return texts
    }

    func record(_ field: String) throws -> PublishedRecord {
        guard let inner = object[field]?.object else { throw refuse(field, "record") }
        return PublishedRecord(object: inner, file: file, number: number)
    }

    /// A number as people write it: 43, not 43.0.
    func number(_ value: JSON?, _ field: String) throws -> String {
        guard let number = value?.double ?? value?.string.flatMap({ Double($0) }), number.isFinite else { throw refuse(field, "number") }
        return number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    }
}

/// How a record becomes one of ours.
private struct Conversion: Sendable {
    typealias Fields = @Sendable (_ record: PublishedRecord, _ index: Int) throws -> [(key: String, value: JSON)]
    let layout: Layout
    let fields: Fields

    init(_ layout: Layout, _ fields: @escaping Fields) { (self.layout, self.fields) = (layout, fields) }

    static func gsm8k(_ part: String) -> Conversion {
        Conversion(.lines) { record, index in
            let answer = try record.text("answer"), final = answer.components(separatedBy: "####").last ?? ""
            return [
                ("id", .string("gsm8k-\(part)-\(index)")), ("question", .string(try record.text("question"))), ("answer", .string(answer)),
                ("final", .string(final.trimmingCharacters(in: .whitespaces).replacingOccurrences(of: ",", with: ""))),
            ]
        }
    }

    static let gsm8kExamples = Conversion(.under(["fewshot_config", "samples"])) { record, index in
        let target = try record.trimmed("target"), answer = target.matches(of: /-?[0-9][0-9,]*(\.[0-9]+)?/).last.map { "\($0.0)" } ?? ""
        return [("id", .string("gsm8k-cot-\(index)")), ("question", .string(try record.trimmed("question"))), ("rationale", .string(target)), ("answer", .string(answer))]
    }

    static let svamp = Conversion(.list) { record, _ in
        let body = try record.trimmed("Body")
        return [
            ("id", .string(try record.text("ID"))), ("question", .string("\(body)\(body.hasSuffix(".") ? "" : ".") \(try record.trimmed("Question"))")),
            ("answer", .string(try record.number(record.json("Answer"), "Answer"))), ("equation", .string(try record.text("Equation"))), ("type", .string(try record.text("Type"))),
        ]
    }

    static func wordProblems(_ name: String) -> Conversion {
        Conversion(.list) { record, _ in
            [
                ("id", .string("\(name)-\(try record.whole("iIndex"))")), ("question", .string(try record.trimmed("sQuestion"))),
                ("answer", .string(try record.number(record.list("lSolutions").first, "lSolutions"))), ("equation", .string(try record.texts("lEquations")[0])),
            ]
        }
    }

    static func aqua(_ part: String) -> Conversion {
        Conversion(.lines) { record, index in
            let choices = try record.texts("options").map { option in
                JSON.string(option.trimmingPrefix(/[A-E]\)/).trimmingCharacters(in: .whitespaces))
            }
            return [
                ("id", .string("aqua-\(part)-\(index)")), ("question", .string(try record.trimmed("question"))), ("choices", .array(choices)), ("answer", .string(try record.text("correct"))),
                ("rationale", .string(try record.trimmed("rationale"))),
            ]
        }
    }

    static let csqa = Conversion(.lines) { record, _ in
        let question = try record.record("question"), choices = try question.list("choices").compactMap { $0["text"]?.string }.map(JSON.string)
        guard try choices.count == question.list("choices").count else { throw TaskError.badRecord(file: record.file, line: record.number, reason: "record \(record.number) has a choice without a 'text'.") }
        return [
            ("id", .string(try record.text("id"))), ("question", .string(try question.trimmed("stem"))), ("choices", .array(choices)), ("answer", .string(try record.text("answerKey"))),
            ("concept", .string(try question.text("question_concept"))),
        ]
    }

    static let strategyqa = Conversion(.under(["examples"])) { record, index in
        let scores = try record.record("target_scores"), yes = try scores.decimal("Yes"), no = try scores.decimal("No")
        let rationale = try record.text("target").trimmingPrefix(/(Yes|No)\.\s*/).trimmingCharacters(in: .whitespacesAndNewlines)
        return [("id", .string("strategyqa-\(index)")), ("question", .string(try record.text("input"))), ("answer", .string(yes > no ? "yes" : "no")), ("rationale", .string(rationale))]
    }

    /// `isConsistent`: whether the answer is what the question's own words give.
    private static func symbolic(_ name: String, _ isConsistent: @escaping @Sendable (_ question: String, _ answer: String) -> Bool) -> Conversion {
        Conversion(.under(["examples"])) { record, index in
            let question = try record.text("question"), answer = try record.text("answer")
            return [("id", .string("\(name)-\(index)")), ("question", .string(question)), ("answer", .string(answer)), ("consistent", .bool(isConsistent(question, answer)))]
        }
    }

    static let lastLetters = symbolic("last_letters") { question, answer in
        let names = question.firstMatch(of: /"(.*?)"/).map { $0.1.split(separator: " ") } ?? []
        return String(names.compactMap(\.last)).lowercased() == answer.lowercased()
    }

    static let coinFlip = symbolic("coin_flip") { question, answer in question.matches(of: /flips the coin/).count.isMultiple(of: 2) == (answer == "yes") }

    static let humaneval = Conversion(.lines) { record, _ in
        try [("id", record.text("task_id"))].map { ($0.0, .string($0.1)) } + ["prompt", "entry_point", "canonical_solution", "test"].map { ($0, .string(try record.text($0))) }
    }

    static let mbpp = Conversion(.lines) { record, _ in
        let number = try record.whole("task_id"), code = try record.text("code"), tests = try record.texts("test_list")
        let split = switch number { case ...10: "prompt"; case ...510: "test"; case ...600: "validation"; default: "train" }
        let defined = Set(code.matches(of: /def\s+(\w+)\s*\(/).map(\.1))
        let called = tests[0].matches(of: /(\w+)\s*\(/).map(\.1).first(where: defined.contains)
        guard let called else { throw TaskError.badRecord(file: record.file, line: record.number, reason: "record \(record.number): its first test calls no function of its code.") }
        return [
            ("id", .string("mbpp-\(number)")), ("split", .string(split)), ("text", .string(try record.text("text"))), ("entry_point", .string(String(called))), ("code", .string(code)),
            ("test_setup_code", .string(try record.text("test_setup_code"))), ("test_list", .array(tests.map { .string($0) })), ("challenge_test_list", try record.json("challenge_test_list")),
        ]
    }
}

extension DataFile {
    /// By the names of our files. There is none for `star_fewshot.jsonl` (blocks of several files), MATH (two repositories), and SST-2 (rows that no part shares).
    private static let conversions: [String: Conversion] = [
        gsm8kTrain.name: .gsm8k("train"), gsm8kTest.name: .gsm8k("test"), gsm8kExamples.name: .gsm8kExamples, svamp.name: .svamp, addsub.name: .wordProblems("addsub"),
        multiarith.name: .wordProblems("multiarith"), singleeq.name: .wordProblems("singleeq"), aquaDev.name: .aqua("dev"), aquaTest.name: .aqua("test"), csqaTrain.name: .csqa,
        csqaDev.name: .csqa, strategyqa.name: .strategyqa, lastLetters.name: .lastLetters, coinFlip.name: .coinFlip, humaneval.name: .humaneval, mbpp.name: .mbpp,
    ]
}
