import Foundation
import Sampling
import Tasks
import Testing

/// A rollout of which only the problem, the text and the way it ended matter.
func rollout(_ problem: Problem, _ text: String, finish: FinishReason = .stop) -> Rollout {
    Rollout(
        key: RolloutKey(iteration: 0, phase: "test", index: 0), problem: problem, mode: .plain, promptTokens: [], completionTokens: [1, 2],
        finishReason: finish, text: text, logProbabilities: [0, 0], behaviorLogProbabilities: [0, 0], temperatures: [0, 0], weightsHash: "")
}

/// The verdict on one completion.
func verdict(_ verifier: any Verifier, _ problem: Problem, _ text: String, finish: FinishReason = .stop) async throws -> Verdict {
    let judgements = await verifier.judge([rollout(problem, text, finish: finish)])
    try #require(judgements.count == 1)
    guard case .judged(let verdict) = judgements[0] else {
        Issue.record("not judged: \(judgements[0])")
        return Verdict(.unknown, evidence: "")
    }
    return verdict
}

func text(_ prompt: Prompt) throws -> String {
    guard case .text(let text) = prompt else {
        Issue.record("not a text prompt: \(prompt)")
        return ""
    }
    return text
}

/// Runs `body` with a folder that holds the given files, and removes it afterwards.
func withFolder<Result>(_ files: [String: String], _ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tasks-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, content) in files {
        try Data(content.utf8).write(to: folder.appendingPathComponent(name))
    }
    return try body(folder)
}

/// The error of an expression, which must be a `TaskError`, in words.
func taskError(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> String {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as TaskError {
        return error.description
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
    return ""
}

/// 400 instructions of different wording, none a near-duplicate of another.
let wordings: [String] = {
    let verbs = ["write", "explain", "summarize", "describe", "improve"]
    let kinds = ["a poem", "the idea", "some advice", "the history"]
    let topics = ["old trees", "cold rain", "fast boats", "small dogs", "good bread"]
    let readers = ["for children", "for experts", "for a friend", "for nobody"]
    return verbs.flatMap { verb in kinds.flatMap { kind in topics.flatMap { topic in readers.map { "\(verb) \(kind) of \(topic) \($0)" } } } }
}()

let instructionLines = wordings.enumerated().map { #"{"id":"i\#($0)","instruction":"\#($1)","input":"","output":"x"}"# }.joined(separator: "\n")
let questionLines = wordings.enumerated().map { #"{"question":"\#($1)","answer":\#($0)}"# }.joined(separator: "\n") + "\n"

/// Public data for tests, beside the package unless `AUTODIDACT_DATA` says where.
enum PublicData {
    static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["AUTODIDACT_DATA"] { return URL(fileURLWithPath: path) }
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { package.deleteLastPathComponent() }
        return package.appendingPathComponent("../shared/data").standardizedFileURL
    }()

    static func file(_ name: String) -> URL { folder.appendingPathComponent(name) }

    static func has(_ names: String...) -> Bool {
        names.allSatisfy { FileManager.default.fileExists(atPath: file($0).path) }
    }

    static func missing(_ names: String...) -> Comment {
        "needs \(names.joined(separator: ", ")) in the folder named by AUTODIDACT_DATA, or in ../shared/data beside the package"
    }
}
