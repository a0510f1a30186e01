import ModelFiles

/// What every checkpoint was made from: a graph whose nodes are named by the hash of their content.
public struct Lineage: Equatable, Sendable {
    public enum Kind: String, Sendable, Equatable {
        case model, data, recipe, code, checkpoint
    }

    public struct Node: Equatable, Sendable {
        /// Of a code version: the version itself.
        public var hash: String
        public var kind: Kind
        public var name: String
        /// Within the run's folder; several where checkpoints hold the same weights.
        public var paths: [String]
        /// Of data: the order in which they are used.
        public var order: String?
    }

    /// "`from` was made from `to`".
    public struct Edge: Equatable, Sendable {
        public var from: String
        public var to: String
        /// What `to` is to `from`.
        public var kind: Kind
    }

    /// In order of kind and hash, checkpoints in order of training.
    public var nodes: [Node]
    /// In order of checkpoints, then of their parents.
    public var edges: [Edge]

    public var json: JSON {
        [
            "schema": 1,
            "nodes": .array(
                nodes.map { node in
                    var members: [(key: String, value: JSON)] = [
                        ("hash", .string(node.hash)), ("kind", .string(node.kind.rawValue)), ("name", .string(node.name)),
                    ]
                    if !node.paths.isEmpty { members.append(("paths", .array(node.paths.map { .string($0) }))) }
                    if let order = node.order { members.append(("order", .string(order))) }
                    return .object(JSONObject(members))
                }),
            "edges": .array(edges.map { ["from": .string($0.from), "to": .string($0.to), "as": .string($0.kind == .checkpoint ? "model" : $0.kind.rawValue)] }),
        ]
    }
}
