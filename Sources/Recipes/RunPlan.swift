import Sampling
import Tasks
import Training

/// Everything that decides a run's results: what recipe.yaml holds, every default written out.
public struct RunPlan: Sendable, Codable, Equatable {
    public var schema = 1
    /// Where the relative paths of model and data start: the folder in which the run was begun.
    public var folder: String
    /// A model folder or GGUF file; nil: a small decoder made from `fresh`.
    public var model: String?
    public var fresh: FreshDecoder?
    /// The name of a kind of task.
    public var task: String
    /// As a task file would write them.
    public var taskSettings: [String: String]
    /// Settings of the task that change nothing but its prompt; the base's accuracy on dev chooses among them. Empty: as the task is.
    public var prompts: [[String: String]]
    public var recipe: RecipeChoice
    public var options: LoopOptions
    /// Worked examples to warm up on, where the task has them.
    public var workedExamples: Int
    /// Of those, how many may be of the longest length.
    public var workedLongest: Int
    /// How many of the worked examples are also shown with their hint, so that the model knows the format.
    public var workedHints: Int
    /// "task", a reward model as "reward=FOLDER", or the control "accept-all" for what trains; measurements always use the task's own.
    public var verifier: String
    /// The control whose training answers are shuffled.
    public var shufflesAnswers: Bool

    public init(folder: String = ".", model: String?, fresh: FreshDecoder?, task: String, taskSettings: [String: String], recipe: RecipeChoice, options: LoopOptions) {
        self.folder = folder
        self.model = model
        self.fresh = fresh
        self.task = task
        self.taskSettings = taskSettings
        prompts = []
        self.recipe = recipe
        self.options = options
        workedExamples = 0
        workedLongest = 0
        workedHints = 0
        verifier = "task"
        shufflesAnswers = false
    }
}

/// One of the recipes that a run may name. Adding one is its file and its place in `all`.
public struct RecipeChoice: Sendable, Codable, Equatable {
    public static let all: [any Recipe.Type] = [GoldAnswers.self, STaR.self, ReSTEM.self, BestOfN.self, VSTaR.self, VerdictContrast.self, ChainOfHindsight.self, GRPO.self, RLOO.self, PPO.self, SCoRe.self]
    public static var names: [String] { all.map { $0.name } }

    public let chosen: any Recipe
    public var name: String { type(of: chosen).name }

    public init(_ recipe: any Recipe) { chosen = recipe }

    /// The recipe of a name, with its defaults.
    public init?(named name: String) {
        guard let type = Self.all.first(where: { $0.name == name }) else { return nil }
        chosen = type.init()
    }

    public static func == (a: RecipeChoice, b: RecipeChoice) -> Bool {
        func isEqual<R: Recipe>(_ recipe: R) -> Bool { recipe == b.chosen as? R }
        return isEqual(a.chosen)
    }

    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// A mapping from the recipe's name to its settings.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        guard container.allKeys.count == 1, let type = Self.all.first(where: { $0.name == container.allKeys[0].stringValue }) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "a run has exactly one recipe: \(Self.names.joined(separator: " or "))"))
        }
        chosen = try container.decode(type, forKey: container.allKeys[0])
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        try container.encode(chosen, forKey: Name(stringValue: name))
    }
}
