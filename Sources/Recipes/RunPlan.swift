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
    /// "task", or the control "accept-all" for what trains; measurements always use the task's own.
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

/// The recipes that a run may name. Adding one is its file and its lines here.
public enum RecipeChoice: Sendable, Codable, Equatable {
    case star(STaR)
    case restEM(ReSTEM)

    public var recipe: any Recipe {
        switch self {
        case .star(let recipe): recipe
        case .restEM(let recipe): recipe
        }
    }

    /// Whether failed problems are tried again with a hint.
    var rationalises: Bool {
        switch self {
        case .star(let recipe): recipe.rationalises
        case .restEM(let recipe): recipe.rationalises
        }
    }

    /// How a phase of the recipe samples; measurements are greedy.
    public func sampling(of phase: String) -> SamplingOptions {
        if case .restEM(let recipe) = self, ["attempt", "rationalise"].contains(phase) { return recipe.sampling }
        return .greedy
    }

    public static let names = [STaR.name, ReSTEM.name]

    /// The recipe of a name, with its defaults.
    public init?(named name: String) {
        switch name {
        case STaR.name: self = .star(STaR())
        case ReSTEM.name: self = .restEM(ReSTEM())
        default: return nil
        }
    }

    private enum CodingKeys: String, CodingKey {
        case star
        case restEM = "rest-em"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        guard container.allKeys.count == 1, let key = container.allKeys.first else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "a run has exactly one recipe: \(Self.names.joined(separator: " or "))"))
        }
        switch key {
        case .star: self = .star(try container.decode(STaR.self, forKey: .star))
        case .restEM: self = .restEM(try container.decode(ReSTEM.self, forKey: .restEM))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .star(let recipe): try container.encode(recipe, forKey: .star)
        case .restEM(let recipe): try container.encode(recipe, forKey: .restEM)
        }
    }
}
