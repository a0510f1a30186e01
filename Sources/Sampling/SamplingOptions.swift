import Tensors

/// The next token, and how likely it was.
public struct Draw: Sendable, Equatable {
    public var token: Int32
    /// Under the full softmax at temperature 1, natural logarithm.
    public var logProbability: Float
    /// Under the law drawn from, after temperature and truncation; 0 when greedy.
    public var behaviorLogProbability: Float
}

public enum SamplingError: Error, Equatable, CustomStringConvertible {
    case notFinite
    case invalid(option: String, value: String, allowed: String)
    case promptTooLong(tokens: Int, context: Int)
    case emptyPrompt
    case notGenerative(modelType: String)

    public var description: String {
        switch self {
        case .notFinite:
            "the model gave logits that are not finite (NaN, or +∞): its weights are broken or training has diverged. Go back to an earlier checkpoint or lower the learning rate."
        case .invalid(let option, let value, let allowed): "--\(option) \(value): must be \(allowed)."
        case .promptTooLong(let tokens, let context):
            "the prompt has \(tokens) tokens, but the model's context is \(context), and an answer needs room too. Shorten the prompt or the few-shot examples."
        case .notGenerative(let type):
            "models of type '\(type)' and of this class do not write text from left to right. Fill its masks with 'autodidact fill', or embed and classify with it."
        case .emptyPrompt: "the prompt has no tokens. Give the model at least one to continue."
        }
    }
}

/// How the next token is drawn. Stages act in a fixed order: temperature, top-k, top-p, min-p, locally typical, then the
/// rest is renormalised (METHODS 4). Each neutral value switches its stage off.
public struct SamplingOptions: Sendable, Codable, Equatable {
    /// 0 is greedy.
    public var temperature: Float
    /// Keeps the k largest logits, and those equal to the k-th; 0 keeps all.
    public var topK: Int
    /// Keeps the smallest set of the most probable tokens with this mass; 1 keeps all.
    public var topP: Float
    /// Drops tokens less probable than this share of the most probable; 0 keeps all.
    public var minP: Float
    /// Mass of the tokens whose information is nearest to the entropy; 1 keeps all. Source: Meister et al. 2023, arXiv:2202.00666.
    public var typicalP: Float

    public init(temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0, typicalP: Float = 1) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.typicalP = typicalP
    }

    public static let greedy = SamplingOptions(temperature: 0)

    /// - Throws: `SamplingError.invalid` that names the option and what it may be.
    public func validate() throws(SamplingError) {
        func check(_ ok: Bool, _ option: String, _ value: Any, _ allowed: String) throws(SamplingError) {
            if !ok { throw .invalid(option: option, value: "\(value)", allowed: allowed) }
        }
        try check(temperature == 0 || (temperature >= 1e-6 && temperature.isFinite), "temperature", temperature, "0 (greedy), or 0.000001 or more")
        try check(topK >= 0, "top-k", topK, "0 (off) or more")
        try check(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1")
        try check(minP >= 0 && minP < 1, "min-p", minP, "at least 0 and below 1")
        try check(typicalP > 0 && typicalP <= 1, "typical-p", typicalP, "above 0 and at most 1")
    }

    private var truncates: Bool { topK > 0 || topP < 1 || minP > 0 || typicalP < 1 }

    /// - Parameters:
    ///   - all: the logits of one position, as the model gave them.
    ///   - uniform: in [0, 1).
    ///   - candidates: only the first so many tokens may be drawn: a model can have more rows than its tokenizer has tokens.
    public func draw(_ all: UnsafeBufferPointer<Float>, uniform: Double, candidates: Int? = nil) throws(SamplingError) -> Draw {
        let normalizer = RowMath.logSumExp(all)
        let logits = UnsafeBufferPointer(rebasing: all[..<min(all.count, candidates ?? all.count)])
        let best = RowMath.argmax(logits)
        guard normalizer.isFinite, logits[best].isFinite else { throw .notFinite }
        if temperature == 0 { return Draw(token: Int32(best), logProbability: logits[best] - normalizer, behaviorLogProbability: 0) }
        if truncates {
            let law = law(logits)
            let token = law.token(at: uniform)
            return Draw(token: Int32(token), logProbability: logits[token] - normalizer, behaviorLogProbability: Float(fixedLog(law.probability(of: token))))
        }
        var weights = logits.map { ($0 - logits[best]) / temperature }
        RowMath.exponentiate(&weights)
        let (token, total) = Self.invert(weights, uniform)
        let logProbability = logits[token] - normalizer
        // The largest is taken off before dividing: at a low temperature the quotients are too large for their difference.
        let behavior = temperature == 1 && logits.count == all.count ? logProbability : (logits[token] - logits[best]) / temperature - Float(fixedLog(total))
        return Draw(token: Int32(token), logProbability: logProbability, behaviorLogProbability: behavior)
    }

    /// The least index whose cumulative weight exceeds `uniform` of the total, and the total. Sums in Double over blocks of 256, so
    /// that the draw is a function of the weights alone.
    private static func invert(_ weights: [Float], _ uniform: Double) -> (index: Int, total: Double) {
        let block = 256
        var sums: [Double] = []
        for start in stride(from: 0, to: weights.count, by: block) {
            var sum = 0.0
            for i in start..<min(weights.count, start + block) { sum += Double(weights[i]) }
            sums.append(sum)
        }
        let total = sums.reduce(0, +)
        let target = uniform * total
        var before = 0.0
        var last = 0
        for (index, sum) in sums.enumerated() {
            if before + sum > target {
                var cumulative = before
                for i in index * block..<min(weights.count, (index + 1) * block) {
                    cumulative += Double(weights[i])
                    if weights[i] > 0 { last = i }
                    if cumulative > target { return (i, total) }
                }
            } else if let found = (index * block..<min(weights.count, (index + 1) * block)).last(where: { weights[$0] > 0 }) {
                last = found
            }
            before += sum
        }
        return (last, total)  // rounding pushed the target past the end
    }

    /// What is left of the law after every stage. With all stages off: the whole softmax at this temperature.
    public func law(_ logits: UnsafeBufferPointer<Float>) -> CandidateLaw {
        var law = CandidateLaw(logits, temperature: temperature)
        if topK > 0 { law.keepTopK(topK) }
        if topP < 1 { law.keepTopP(Double(topP)) }
        if minP > 0 { law.keepMinP(Double(minP)) }
        if typicalP < 1 { law.keepTypical(Double(typicalP)) }
        return law
    }
}
