import Tensors

/// Rotary frequencies and how they are stretched beyond the length of pre-training.
public struct RotaryScaling: Sendable, Equatable {
    public enum Variant: Sendable, Equatable {
        case none
        /// Positions divided by a factor. Source: Chen et al. 2023, arXiv:2306.15595.
        case linear(factor: Double)
        /// Low frequencies divided, high ones kept, those between blended (Llama 3.1).
        case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Int)
        /// Source: Peng et al. 2023, arXiv:2309.00071. `attentionFactor` is 0.1 ln(factor) + 1 where the file gives none.
        case yarn(factor: Double, betaFast: Double, betaSlow: Double, originalLength: Int, attentionFactor: Double?)
        /// A divisor for each pair, other ones in sequences longer than those of pre-training. Source: Ding et al. 2024, arXiv:2402.13753.
        case longrope(short: [Double], long: [Double], originalLength: Int, attentionFactor: Double)
    }
    public var base: Double
    public var variant: Variant

    public init(base: Double, variant: Variant = .none) {
        self.base = base
        self.variant = variant
    }

    /// The length beyond which a sequence is turned by other frequencies, all of it.
    public var switchLength: Int? {
        if case .longrope(_, _, let length, _) = variant { return length }
        return nil
    }

    /// One frequency per rotated pair; with `isStretched` those of sequences beyond `switchLength`.
    public func frequencies(rotated: Int, isStretched: Bool = false) -> [Float] {
        exactFrequencies(rotated: rotated, isStretched: isStretched).map { Float($0) }
    }

    func exactFrequencies(rotated: Int, isStretched: Bool = false) -> [Double] {
        let plain = rotaryFrequencies(rotated: rotated, base: base)
        switch variant {
        case .none:
            return plain
        case .longrope(let short, let long, _, _):
            return zip(plain, isStretched ? long : short).map { 1 / ($1 / $0) }
        case .linear(let factor):
            return plain.map { $0 / factor }
        case .llama3(let factor, let low, let high, let original):
            return plain.map { frequency in
                let turns = Double(original) * frequency / (2 * .pi)  // the original length over the wavelength
                if turns < low { return frequency / factor }
                if turns > high { return frequency }
                let blend = (turns - low) / (high - low)
                return (1 - blend) * frequency / factor + blend * frequency
            }
        case .yarn(let factor, let betaFast, let betaSlow, let original, _):
            /// The pair that turns `turns` times over the original length.
            func pair(_ turns: Double) -> Double { Double(rotated) * fixedLog(Double(original) / (turns * 2 * .pi)) / (2 * fixedLog(base)) }
            let low = max(pair(betaFast).rounded(.down), 0)
            var high = min(pair(betaSlow).rounded(.up), Double(rotated - 1))
            if high == low { high += 0.001 }
            return plain.enumerated().map { index, frequency in
                let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
                return frequency / factor * ramp + frequency * (1 - ramp)
            }
        }
    }

    /// What cosines and sines are multiplied by.
    public var magnitude: Float {
        switch variant {
        case .yarn(let factor, _, _, _, let given): Float(given ?? (factor <= 1 ? 1 : 0.1 * fixedLog(factor) + 1))
        case .longrope(_, _, _, let given): Float(given)
        case .none, .linear, .llama3: 1
        }
    }
}

extension TransformerConfiguration {
    /// How many tokens of at most `count` a completion that is trained may have: where a longer sequence is turned by other frequencies, all of it, what was sampled before that length would
    /// not be what a scoring pass over the whole gives.
    public func room(_ count: Int, after prompt: Int) -> Int {
        guard let length = rope?.switchLength, prompt <= length else { return count }
        return min(count, length - prompt + 1)
    }
}
