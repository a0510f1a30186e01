import ArgumentParser
import Autodidact

extension AdapterChoices.Kind: ExpressibleByArgument {}

/// What is trained beside a model.
struct AdapterOptions: ParsableArguments {
    @Option(help: "lora, bottleneck or soft-prompt; lora when only --rank is given, and all weights are trained without either.")
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
        if let rank, !(1...4096).contains(rank) { throw ValidationError("--rank \(rank): must be 1 to 4096.") }
        if kind != .lora, rslora || dora || targets != nil || alpha != nil { throw ValidationError("--rslora, --dora, --targets and --alpha belong to a LoRA adapter: give --rank, or --adapter lora.") }
    }

    /// nil: the model itself is trained.
    var kind: AdapterChoices.Kind? { adapter ?? (rank == nil ? nil : .lora) }

    var isGiven: Bool { kind != nil || rslora || dora || targets != nil || alpha != nil }

    /// - Parameter whole: modules that are trained whole beside the adapter.
    func choices(whole: [String] = []) -> AdapterChoices? {
        guard let kind else { return nil }
        var choices = AdapterChoices()
        let rank = rank ?? 8
        choices.kind = kind
        (choices.rank, choices.alpha, choices.isRankStable, choices.learnsMagnitudes) = (rank, alpha ?? 2 * Double(rank), rslora, dora)
        choices.targets = targets.map(split) ?? []
        choices.whole = whole
        return choices
    }
}
