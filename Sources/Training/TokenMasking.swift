import Tensors

/// Masks some tokens of a text for a masked model to fill: of 15 %, four fifths become the mask, a tenth another token, and a tenth stays.
/// Source: Devlin et al. 2018, arXiv:1810.04805.
public struct TokenMasking: Sendable {
    public var share = 0.15
    public var mask: Int32
    /// Tokens below this number replace others.
    public var vocabulary: Int
    /// Tokens that are never masked.
    public var kept: Set<Int32>

    public init(mask: Int32, vocabulary: Int, kept: Set<Int32>) {
        self.mask = mask
        self.vocabulary = vocabulary
        self.kept = kept
    }

    /// - Returns: nil where no token was chosen.
    public func example(_ tokens: [Int32], segments: [Int32]? = nil, key: RandomKey) -> Example? {
        var input = tokens, places: [Int32] = [], targets: [Int32] = []
        for (index, token) in tokens.enumerated() where token >= 0 && !kept.contains(token) {
            let own = key.folding(index)
            guard own.uniform(0) < share else { continue }
            places.append(Int32(index))
            targets.append(token)
            let choice = own.uniform(1)
            if choice < 0.8 { input[index] = mask } else if choice < 0.9 { input[index] = Int32(own.index(below: vocabulary, 2)) }
        }
        return places.isEmpty ? nil : Example(tokens: input, segments: segments, labels: .init(places: places, targets: targets))
    }
}
