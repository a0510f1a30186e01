import Tensors

/// How much several completions of one problem differ. Words are what white space separates.
public enum TextDiversity {
    /// Different runs of n words as a share of all; `nil` where there are none. Source: Li et al. 2016, arXiv:1510.03055 (distinct-1, distinct-2).
    public static func distinct(_ n: Int, in texts: [String]) -> Double? {
        let all = texts.flatMap { runs(n, in: words($0)) }
        return all.isEmpty ? nil : Double(Set(all).count) / Double(all.count)
    }

    /// The mean over texts of their BLEU against all the others, 0 (nothing in common) to 1 (all the same); `nil` for fewer than two texts with words.
    /// Source: Zhu et al. 2018, arXiv:1802.01886 (Self-BLEU).
    public static func selfBLEU(_ texts: [String]) -> Double? {
        let texts = texts.map(words).filter { !$0.isEmpty }
        guard texts.count > 1 else { return nil }
        return texts.indices.reduce(0) { sum, place in
            sum + bleu(texts[place], against: texts.indices.filter { $0 != place }.map { texts[$0] })
        } / Double(texts.count)
    }

    /// BLEU with runs of one to four words, fewer in a shorter text; a length without a match counts as a tenth of one. Sources: Papineni et al. 2002
    /// (P02-1040); Chen and Cherry 2014 (W14-3346), smoothing 1.
    private static func bleu(_ words: [Substring], against others: [[Substring]]) -> Double {
        let longest = min(4, words.count)
        let logPrecision = (1...longest).reduce(0.0) { sum, n in
            let own = counts(runs(n, in: words))
            let most = others.reduce(into: [[Substring]: Int]()) { most, other in most.merge(counts(runs(n, in: other))) { max($0, $1) } }
            let matches = own.reduce(0) { $0 + min($1.value, most[$1.key] ?? 0) }
            return sum + fixedLog((matches == 0 ? 0.1 : Double(matches)) / Double(words.count - n + 1))
        } / Double(longest)
        let nearest = others.map(\.count).min { (abs($0 - words.count), $0) < (abs($1 - words.count), $1) }!
        return fixedExp(logPrecision + min(0, 1 - Double(nearest) / Double(words.count)))
    }

    private static func words(_ text: String) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }

    private static func runs(_ n: Int, in words: [Substring]) -> [[Substring]] { words.count < n ? [] : (0...words.count - n).map { Array(words[$0..<$0 + n]) } }

    private static func counts(_ runs: [[Substring]]) -> [[Substring]: Int] { runs.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
}
