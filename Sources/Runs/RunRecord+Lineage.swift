import GRDB
import ModelFiles
import Recipes

extension RunRecord {
    /// A model that the run starts from, or refers to; its hash is as in `CheckpointRecord.parents`.
    public func recordModel(hash: String, name: String) throws {
        try write { db in try db.insert(into: "models", or: .replace, [("hash", Stored.text(hash)), ("name", Stored.text(name))]) }
        try writeLineage()
    }

    /// Problems or text that the run learns from; `order` says how they are ordered, in words or as a hash of the order.
    public func recordData(hash: String, name: String, order: String) throws {
        try write { db in
            try db.insert(into: "data", or: .replace, [("hash", Stored.text(hash)), ("name", Stored.text(name)), ("ordering", Stored.text(order))])
        }
        try writeLineage()
    }

    /// Refuses to go on with other weights or problems than the run began with: its parts would not belong together.
    /// - Throws: `FileError` that says which of the two changed.
    public func expectOrigin(model: String, data: String) throws {
        for (table, now, what) in [("models", model, "model"), ("data", data, "problems")] {
            let known = try rows(table, "SELECT hash FROM \(table)") { try $0.text("hash") }
            guard let first = known.first, !known.contains(now) else { continue }
            throw FileError(
                file: folderPath, problem: "the \(what) changed since the run began (\(first.prefix(12))… then, \(now.prefix(12))… now)",
                advice: "Put the original back, or start a new run.")
        }
    }

    /// Refuses to go on with a verifier that judges otherwise than the one that the run began with.
    /// - Parameter settings: of the verifier of what trains, such as the hash of a reward model; none where the recipe says it all.
    /// - Throws: `FileError` that names the first that changed.
    public func expectVerifier(_ settings: [String: String]) throws {
        guard let known = try rows("facts", "SELECT value FROM facts WHERE name = 'verifier'", as: { try $0.json([String: String].self, "value") }).first else {
            if settings.isEmpty { return }
            return try write { db in try db.insert(into: "facts", or: .fail, [("name", "verifier"), ("value", Stored.json(settings))]) }
        }
        guard let changed = Set(known.keys).union(settings.keys).sorted().first(where: { known[$0] != settings[$0] }) else { return }
        let (then, now) = (known[changed] ?? "none", settings[changed] ?? "none")
        func short(_ text: String) -> String { text.count > 24 ? "\(text.prefix(12))…" : text }
        throw FileError(
            file: folderPath, problem: "the verifier's \(changed) changed since the run began (\(short(then)) then, \(short(now)) now)",
            advice: "Put the original back, or start a new run.")
    }

    /// The code that runs now; checkpoints recorded from here on name it.
    public func recordCode(version: String) { codeVersion.withLock { $0 = version } }

    /// The run did all that its recipe says.
    public func markFinished() throws {
        try write { db in try db.insert(into: "facts", or: .replace, [("name", "finished"), ("value", "true")]) }
    }

    public var isFinished: Bool {
        get throws { try !rows("facts", "SELECT value FROM facts WHERE name = 'finished'") { try $0.text("value") }.isEmpty }
    }

    /// The graph behind lineage.json, made from the record and the recipe alone.
    public func lineage() throws -> Lineage {
        let recipe = Lineage.Node(hash: "fnv1a128:" + ContentHash.of(try self.recipe()), kind: .recipe, name: "recipe.yaml", paths: ["recipe.yaml"], order: nil)
        let data = try rows("data", "SELECT * FROM data ORDER BY hash") { row in
            Lineage.Node(hash: try row.text("hash"), kind: .data, name: try row.text("name"), paths: [], order: try row.text("ordering"))
        }
        var models = try rows("models", "SELECT * FROM models ORDER BY hash") { row in
            Lineage.Node(hash: try row.text("hash"), kind: .model, name: try row.text("name"), paths: [], order: nil)
        }
        let recorded = try rows("checkpoints", "SELECT * FROM checkpoints ORDER BY iteration, phase, step") { row in
            (checkpoint: try checkpoint(row), code: try row.text("codeVersion"))
        }.filter { $0.checkpoint.path != nil }

        let named = Set(models.map(\.hash))
        var made: [Lineage.Node] = []
        for (checkpoint, _) in recorded {
            if let index = models.firstIndex(where: { $0.hash == checkpoint.weightsHash }) {
                models[index].paths += [checkpoint.path].compactMap(\.self)  // trained, but not changed
            } else if let index = made.firstIndex(where: { $0.hash == checkpoint.weightsHash }) {
                made[index].paths += [checkpoint.path].compactMap(\.self)
            } else {
                let training = checkpoint.training
                made.append(
                    Lineage.Node(
                        hash: checkpoint.weightsHash, kind: .checkpoint, name: "iteration \(training.iteration), \(training.phase), step \(checkpoint.step)",
                        paths: [checkpoint.path].compactMap(\.self), order: nil))
            }
        }
        let trained = Set(made.map(\.hash))
        for parent in Set(recorded.flatMap(\.checkpoint.parents)).sorted() where !named.contains(parent) && !trained.contains(parent) {
            models.append(Lineage.Node(hash: parent, kind: .model, name: "", paths: [], order: nil))
        }
        let code = Set(recorded.map(\.code)).subtracting([""]).sorted().map { Lineage.Node(hash: $0, kind: .code, name: "autodidact", paths: [], order: nil) }

        var edges: [Lineage.Edge] = []
        for (checkpoint, version) in recorded {
            let from = checkpoint.weightsHash
            var own = checkpoint.parents.filter { $0 != from }.map { Lineage.Edge(from: from, to: $0, kind: trained.contains($0) ? .checkpoint : .model) }
            own += data.map { Lineage.Edge(from: from, to: $0.hash, kind: .data) }
            own.append(Lineage.Edge(from: from, to: recipe.hash, kind: .recipe))
            if !version.isEmpty { own.append(Lineage.Edge(from: from, to: version, kind: .code)) }
            for edge in own where !edges.contains(edge) { edges.append(edge) }
        }
        return Lineage(nodes: models.sorted { $0.hash < $1.hash } + data + [recipe] + code + made, edges: edges)
    }

    /// Writes lineage.json anew.
    func writeLineage() throws {
        guard let folder else { return }
        try writeDurably(lineage().json.text(pretty: true) + "\n", to: folder.lineagePath)
    }
}
