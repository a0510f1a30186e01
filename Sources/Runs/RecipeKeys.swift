import Yams

/// A recipe as dotted keys and the text of their values: `sampling.temperature` → `0.7`, `stops[0]` → `Q:`.
public struct RecipeKeys: Equatable, Sendable {
    public private(set) var values: [String: String] = [:]

    /// What is no YAML is one value without a key.
    public init(yaml: String) {
        if let root = try? Yams.compose(yaml: yaml) { take(root, at: "") } else { values[""] = yaml }
    }

    private mutating func take(_ node: Node, at path: String) {
        switch node {
        case .mapping(let entries) where !entries.isEmpty:
            for (key, value) in entries {
                let name = key.string ?? "\(key)"
                take(value, at: path.isEmpty ? name : "\(path).\(name)")
            }
        case .sequence(let items) where !items.isEmpty:
            for (index, item) in items.enumerated() { take(item, at: "\(path)[\(index)]") }
        case .mapping: values[path] = "{}"
        case .sequence: values[path] = "[]"
        case .scalar(let scalar): values[path] = scalar.string
        case .alias(let alias): values[path] = "*\(alias.anchor.rawValue)"
        }
    }

    /// Texts, and numbers however they are written.
    private static func areEqual(_ a: String?, _ b: String?) -> Bool {
        if a == b { return true }
        guard let a, let b, Int(a) == nil || Int(b) == nil, let x = Float(a), let y = Float(b) else { return false }
        return x == y
    }

    /// What differs, in order of keys; where a run was begun is no difference.
    public func differences(to other: RecipeKeys) -> [RecipeDifference] {
        Set(values.keys).union(other.values.keys).subtracting(["folder"]).sorted().compactMap { key in
            Self.areEqual(values[key], other.values[key]) ? nil : RecipeDifference(key: key, first: values[key], second: other.values[key])
        }
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
