import Architectures
import Foundation
import Tasks
import Tensors

/// Everything that decides a score besides the weights and the draws: only scores with equal recipes say which model is better.
///
/// Prompts count as they are put to the model, so it shows whatever changes them (template, worked examples, question), and where the data lies does not.
public struct EvaluationRecipe: Codable, Sendable, Equatable {
    /// By name. What is long stands as its hash.
    public let parts: [String: String]

    public init(parts: [String: String]) { self.parts = parts }

    /// - Parameters:
    ///   - plan: what is measured.
    ///   - chatTemplate: the model's; counts where prompts are conversations.
    ///   - precision: at which the model computes; `nil` without a model.
    /// - Throws: what the environment throws.
    public init(_ plan: EvaluationPlan, chatTemplate: String? = nil, precision: Precision? = nil) throws {
        let (environment, verifier) = (plan.environment, plan.environment.verifier)
        // The order of problems decides nothing.
        let problems = plan.problems.sorted { $0.id < $1.id }
        var parts = ["task": environment.name, "split": plan.split.rawValue, "method": plan.method.rawValue, "problems": "\(problems.count), \(try Self.hash(problems))"]
        parts["precision"] = precision?.rawValue
        if plan.method != .reference {
            let prompts = try problems.map { try environment.reset($0, mode: .plain) }
            parts["prompts"] = try Self.hash(prompts)
            let turns = try problems.compactMap { try environment.step($0, after: [""]) }
            if !turns.isEmpty { parts["next turn"] = try Self.hash(turns) }
            if prompts.contains(where: { if case .messages = $0 { true } else { false } }) { parts["chat template"] = sha256(Data((chatTemplate ?? "").utf8)) }
        }
        if plan.method == .likelihood {
            parts["white space after a prompt"] = "of the option"
            parts["options"] = "\(plan.form.rawValue), \(try Self.hash(problems.map { environment.options(of: $0, as: plan.form)?.texts ?? [] }))"
        } else {
            parts["verifier"] = verifier.name
            for (key, value) in verifier.settings { parts["verifier: \(key)"] = value }
        }
        if plan.method == .generate {
            parts["samples"] = "\(plan.samples)"
            parts["stops"] = "\(environment.stops)"
            parts["max tokens"] = "\(environment.maxTokens)"
            let sampling = plan.sampling
            // Greedy, what would be cut off from the law was never drawn.
            parts["temperature"] = "\(sampling.temperature)"
            if sampling.temperature > 0 {
                parts["top-k"] = "\(sampling.topK)"
                parts["top-p"] = "\(sampling.topP)"
                parts["min-p"] = "\(sampling.minP)"
                parts["typical-p"] = "\(sampling.typicalP)"
            }
        }
        self.parts = parts
    }

    /// SHA-256 over all parts, in hexadecimal.
    public var hash: String { Self.sha(parts) }
    /// Its first twelve digits, for people.
    public var shortHash: String { String(hash.prefix(12)) }

    /// What another recipe says otherwise, as "temperature 0.0 and 0.7".
    public func differences(to other: EvaluationRecipe) -> [String] {
        Set(parts.keys).union(other.parts.keys).sorted().filter { parts[$0] != other.parts[$0] }.map { key in
            let (own, its) = (parts[key] ?? "none", other.parts[key] ?? "none")
            let isHashed = max(own.count, its.count) > 60
            return isHashed ? key : "\(key) \(own) and \(its)"
        }
    }

    private static func hash(_ value: some Encodable) throws -> String { sha256(try encoder.encode(value)) }

    private static func sha(_ parts: [String: String]) -> String { sha256((try? encoder.encode(parts)) ?? Data()) }

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
