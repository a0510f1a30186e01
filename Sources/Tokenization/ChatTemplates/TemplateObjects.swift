/// The one kind of value whose members templates may set.
final class TemplateNamespace {
    var names: [String] = []
    var members: [String: TemplateValue] = [:]

    func set(_ name: String, _ value: TemplateValue) throws {
        guard !name.hasPrefix("_") else { throw TemplateProblem.refused("a namespace cannot hold '\(name)', whose name starts with an underscore") }
        if members.updateValue(value, forKey: name) == nil { names.append(name) }
    }
}

final class TemplateCycler {
    let items: [TemplateValue]
    let depth: Int
    var position = 0

    init(_ items: [TemplateValue]) throws {
        self.items = items
        depth = try TemplateValue.depth(around: items)
    }
}

final class TemplateJoiner {
    let separator: TemplateValue
    let depth: Int
    var isUsed = false

    init(_ separator: TemplateValue) throws {
        self.separator = separator
        depth = try TemplateValue.depth(around: [separator])
    }
}

/// A macro, or the body of a `call` block, with the scope that it was written in.
final class TemplateMacro {
    let declaration: TemplateMacroDeclaration
    let scope: Int

    init(_ declaration: TemplateMacroDeclaration, scope: Int) {
        self.declaration = declaration
        self.scope = scope
    }
}

/// What `loop` stands for in a loop's body.
final class TemplateLoop {
    let items: [TemplateValue]
    let depth0: Int
    let recursion: (loop: TemplateForLoop, scope: Int)?  // of a loop marked `recursive`
    let depth: Int  // of the values in it
    var index0 = -1
    private var lastChanged: [TemplateValue]?
    private var isFinished = false

    init(_ items: [TemplateValue], depth0: Int, recursion: (TemplateForLoop, Int)?) throws {
        (self.items, self.depth0, self.recursion) = (items, depth0, recursion)
        depth = try TemplateValue.depth(around: items)
    }

    /// Whether the values are others than those of the last call.
    func changed(_ values: [TemplateValue], _ budget: TemplateBudget) throws -> Bool {
        if let lastChanged, try TemplateValue.equal(lastChanged, values, budget) { return false }
        if !isFinished { lastChanged = values }
        return true
    }

    /// Lets go of what `changed` has seen, which may be the loop itself.
    func finish() {
        isFinished = true
        lastChanged = nil
    }

    subscript(_ name: String) -> TemplateValue? {
        switch name {
        case "index": .whole(index0 + 1)
        case "index0": .whole(index0)
        case "revindex": .whole(items.count - index0)
        case "revindex0": .whole(items.count - index0 - 1)
        case "first": .bool(index0 == 0)
        case "last": .bool(index0 == items.count - 1)
        case "length": .whole(items.count)
        case "depth": .whole(depth0 + 1)
        case "depth0": .whole(depth0)
        case "previtem": index0 > 0 ? items[index0 - 1] : .undefined(TemplateUndefined("there is no previous item"))
        case "nextitem": index0 + 1 < items.count ? items[index0 + 1] : .undefined(TemplateUndefined("there is no next item"))
        case "cycle", "changed": .method(of: .loop(self), name)
        default: nil
        }
    }
}
