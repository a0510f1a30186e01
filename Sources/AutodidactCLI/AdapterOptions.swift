import ArgumentParser
import Autodidact

extension AdapterChoices.Kind: ExpressibleByArgument {}

/// What is trained beside a model.
struct AdapterOptions: ParsableArguments {
    @Option(help: "lora, bottleneck or soft-prompt (not in learn and rl); lora when only --rank is given, and all weights are trained without either.")
    var adapter: AdapterChoices.Kind?

    @Option(help: "Rank of a LoRA adapter, width of bottlenecks, or vectors of a soft prompt; 8 when left out.")
    var rank: Int?

    @Option(help: "The adapter's change is multiplied by alpha / rank; twice the rank when left out.")
    var alpha: Double?

    @Option(help: "Modules that get an adapter, separated by commas; all matrices of the blocks when left out.")
    var targets: String?

    @Flag(help: "Divide alpha by the root of the rank (rsLoRA).")
    var rslora = false

    @Flag(help: "Learn the lengths of rows too (DoRA).")
    var dora = false

    func validate() throws {
        if let alpha, !(alpha > 0 && alpha.isFinite) { throw ValidationError("--alpha \(alpha): must be above 0.") }
        if let rank, !(1...4096).contains(rank) { throw ValidationError("--rank \(rank): must be 1 to 4096.") }
    }

    /// - Parameter kind: of the adapter, that of a file among them; nil where there is none.
    /// - Throws: `ValidationError` for settings that it has not.
    func check(for kind: AdapterChoices.Kind?) throws {
        if kind != .lora, rslora || dora || targets != nil || alpha != nil { throw ValidationError("--rslora, --dora, --targets and --alpha belong to a LoRA adapter: give --rank, or --adapter lora.") }
    }

    /// nil: the model itself is trained.
    var kind: AdapterChoices.Kind? { adapter ?? (rank == nil ? nil : .lora) }

    var isGiven: Bool { kind != nil || rslora || dora || targets != nil || alpha != nil }

    /// - Parameters:
    ///   - given: what a file says; options replace single settings of it.
    ///   - whole: modules that are trained whole beside the adapter.
    func choices(over given: AdapterChoices? = nil, whole: [String] = []) -> AdapterChoices? {
        guard kind != nil || given != nil else { return nil }
        var choices = given ?? AdapterChoices()
        if let kind { choices.kind = kind }
        if let rank { choices.rank = rank }
        if let alpha { choices.alpha = alpha } else if given == nil || rank != nil { choices.alpha = 2 * Double(choices.rank) }
        if rslora { choices.isRankStable = true }
        if dora { choices.learnsMagnitudes = true }
        if let targets { choices.targets = split(targets) }
        if !whole.isEmpty { choices.whole = whole }
        return choices
    }
}
