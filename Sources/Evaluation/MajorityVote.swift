import Tensors

/// Self-consistency: of several answers to one problem the most frequent. Source: Wang et al. 2023, arXiv:2203.11171.
public enum MajorityVote {
    public struct Vote: Sendable, Equatable {
        /// As answers are compared; `nil` does not vote.
        public var answer: String?
        /// Natural logarithm of the whole completion's probability.
        public var logProbability: Double
        /// 1 where all votes count alike.
        public var weight: Double

        public init(_ answer: String?, logProbability: Double = 0, weight: Double = 1) {
            (self.answer, self.logProbability, self.weight) = (answer, logProbability, weight)
        }
    }

    /// The place of the first vote for the answer with the most weight. Of equals the one with the highest total probability wins, then the one given first.
    /// - Parameters:
    ///   - votes: of one problem.
    ///   - areEqual: whether two answers are one; a vote joins the first answer that it equals.
    /// - Returns: `nil` where nobody votes.
    public static func winner(of votes: [Vote], areEqual: (String, String) -> Bool = { $0 == $1 }) -> Int? {
        var parties: [(answer: String, votes: [Int])] = []
        for (place, vote) in votes.enumerated() {
            guard let answer = vote.answer else { continue }
            if let party = parties.firstIndex(where: { $0.answer == answer }) ?? parties.firstIndex(where: { areEqual($0.answer, answer) }) {
                parties[party].votes.append(place)
            } else {
                parties.append((answer, [place]))
            }
        }
        func weight(_ places: [Int]) -> Double { places.reduce(0) { $0 + votes[$1].weight } }
        /// Of long completions the probabilities themselves would vanish.
        func logProbability(_ places: [Int]) -> Double {
            let top = places.map { votes[$0].logProbability }.max()!
            return top + fixedLog(places.reduce(0) { $0 + fixedExp(votes[$1].logProbability - top) })
        }
        return parties.max { (weight($0.votes), logProbability($0.votes), $1.votes[0]) < (weight($1.votes), logProbability($1.votes), $0.votes[0]) }?.votes[0]
    }
}
