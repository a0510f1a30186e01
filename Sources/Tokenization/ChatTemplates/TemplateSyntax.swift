/// What a template consists of.
indirect enum TemplateNode: Sendable {
    case text([UInt8])
    case print(TemplateExpression)
    case conditional(branches: [(condition: TemplateExpression, body: [TemplateNode])], otherwise: [TemplateNode])
    case loop(TemplateForLoop)
    case set(TemplateTarget, TemplateExpression)
    case setBlock(TemplateTarget, filter: TemplateExpression, body: [TemplateNode])
    case filterBlock(TemplateExpression, body: [TemplateNode])
    case with([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateNode])
    case macro(TemplateMacroDeclaration)
    /// A call that is given `body` as `caller`.
    case callBlock(TemplateExpression, TemplateArgumentList, body: TemplateMacroDeclaration, line: Int)
    case generation([TemplateNode])
    /// A part with a name, which sees no variables but those of the whole template unless it is `scoped`.
    case block(body: [TemplateNode], isScoped: Bool)
    case leave, again  // break, continue
    case unavailable(construct: String, line: Int)
}

final class TemplateForLoop: Sendable {
    let target: TemplateTarget
    let iterable: TemplateExpression
    let condition: TemplateExpression?
    let isRecursive: Bool
    let body: [TemplateNode]
    let otherwise: [TemplateNode]

    init(target: TemplateTarget, iterable: TemplateExpression, condition: TemplateExpression?, isRecursive: Bool, body: [TemplateNode], otherwise: [TemplateNode]) {
        (self.target, self.iterable, self.condition, self.isRecursive, self.body, self.otherwise) = (target, iterable, condition, isRecursive, body, otherwise)
    }
}

final class TemplateMacroDeclaration: Sendable {
    let name: String?  // nil for the body of a `call` block
    let parameters: [(name: String, otherwise: TemplateExpression?)]
    let body: [TemplateNode]
    /// Which of `caller`, `kwargs` and `varargs` the body speaks of, and so may be given.
    let usesCaller, usesNamed, usesPositional: Bool

    init(name: String?, parameters: [(name: String, otherwise: TemplateExpression?)], body: [TemplateNode], names: Set<String>) {
        (self.name, self.parameters, self.body) = (name, parameters, body)
        usesCaller = names.contains("caller")
        usesNamed = names.contains("kwargs")
        usesPositional = names.contains("varargs")
    }
}

/// What is assigned to.
indirect enum TemplateTarget: Sendable {
    case name(String)
    case member(of: String, String)
    case tuple([TemplateTarget])
}

struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        case literal(TemplateLiteral)
        case variable(String)
        case list([TemplateExpression])
        case tuple([TemplateExpression])
        case dictionary([(key: TemplateExpression, value: TemplateExpression)])
        case attribute(TemplateExpression, String)  // a.b
        case item(TemplateExpression, TemplateExpression)  // a[b]
        case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?, step: TemplateExpression?)
        case call(TemplateExpression, TemplateArgumentList)
        case filter(TemplateExpression, String, TemplateArgumentList)
        case test(TemplateExpression, String, TemplateArgumentList)
        case not(TemplateExpression)
        case signed(TemplateExpression, isNegative: Bool)
        case all([TemplateExpression])  // a and b
        case any([TemplateExpression])  // a or b
        /// From left to right, operators of one precedence.
        case arithmetic(TemplateExpression, [(mark: String, operand: TemplateExpression)])
        case concatenation([TemplateExpression])
        case comparison(TemplateExpression, [(mark: String, operand: TemplateExpression)])
        case choice(TemplateExpression, if: TemplateExpression, otherwise: TemplateExpression?)
        /// The text that a filter block has collected.
        case collected
    }

    let kind: Kind
    let line: Int
    let height: Int  // of the tree, which evaluation descends recursively
}

enum TemplateLiteral: Sendable {
    case none
    case bool(Bool)
    case integer(Int128)
    case float(Double)
    case string([UInt8])
}

struct TemplateArgumentList: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
    var positionalRest: TemplateExpression?  // *list
    var namedRest: TemplateExpression?  // **dictionary

    var isEmpty: Bool { positional.isEmpty && named.isEmpty && positionalRest == nil && namedRest == nil }
}
