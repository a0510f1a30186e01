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
        let all = (1...4).map { n in texts.map { counts(runs(n, in: $0)) } }, most = all.map(Most.init), lengths = texts.map(\.count)
        return texts.indices.reduce(0) { sum, place in
            sum + bleu(all.map { $0[place] }, against: most, length: lengths[place], others: lengths[..<place] + lengths[(place + 1)...])
        } / Double(texts.count)
    }

    /// How often each run stands in the text that has it most often, and in the one after that.
    private struct Most {
        private var most: [[Substring]: (first: Int, second: Int)] = [:]

        init(_ texts: [[[Substring]: Int]]) {
            for text in texts {
                for (run, count) in text {
                    let (first, second) = most[run] ?? (0, 0)
                    most[run] = count > first ? (count, first) : (first, max(second, count))
                }
            }
        }

        /// How often it stands in one of the texts besides one that has it `own` times.
        func others(_ run: [Substring], own: Int) -> Int { most[run].map { $0.first == own ? $0.second : $0.first } ?? 0 }
    }

    /// BLEU with runs of one to four words, fewer in a shorter text; a length without a match counts as a tenth of one. Sources: Papineni et al. 2002
    /// (P02-1040); Chen and Cherry 2014 (W14-3346), smoothing 1.
    private static func bleu(_ own: [[[Substring]: Int]], against most: [Most], length: Int, others: some Sequence<Int>) -> Double {
        let longest = min(4, length)
        let logPrecision = (1...longest).reduce(0.0) { sum, n in
            let matches = own[n - 1].reduce(0) { $0 + min($1.value, most[n - 1].others($1.key, own: $1.value)) }
            return sum + fixedLog((matches == 0 ? 0.1 : Double(matches)) / Double(length - n + 1))
        } / Double(longest)
        let nearest = others.min { (abs($0 - length), $0) < (abs($1 - length), $1) }!
        return fixedExp(logPrecision + min(0, 1 - Double(nearest) / Double(length)))
    }

    private static func words(_ text: String) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }

    private static func runs(_ n: Int, in words: [Substring]) -> [[Substring]] { words.count < n ? [] : (0...words.count - n).map { Array(words[$0..<$0 + n]) } }

    private static func counts(_ runs: [[Substring]]) -> [[Substring]: Int] { runs.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
}
