import Evaluation
import Foundation
import Sampling
import Tasks
import Tensors
import Testing

@Suite("pass@k, votes and intervals")
struct ScoreTests {
    // MARK: pass@k. Source: METHODS 10.3.

    @Test("pass@k is 1 − C(n − c, k) / C(n, k)")
    func passAtK() {
        #expect(abs(PassAtK.estimate(5, samples: 10, right: 3) - 0.9166666666666667) < 1e-12)
        for right in 0...10 {
            #expect(abs(PassAtK.estimate(1, samples: 10, right: right) - Double(right) / 10) < 1e-12)
            #expect(PassAtK.estimate(10, samples: 10, right: right) == (right > 0 ? 1 : 0))
        }
    }

    @Test("pass@k is without bias: its mean over the law of right samples is 1 − (1 − p)ᵏ, which the naive estimate misses")
    func unbiased() {
        let (n, k, p) = (6, 3, 0.3)
        var (mean, naive) = (0.0, 0.0)
        for pattern in 0..<1 << n {
            let right = pattern.nonzeroBitCount, weight = pow(p, Double(right)) * pow(1 - p, Double(n - right))
            mean += weight * PassAtK.estimate(k, samples: n, right: right)
            naive += weight * (1 - pow(1 - Double(right) / Double(n), Double(k)))
        }
        #expect(abs(mean - (1 - pow(1 - p, Double(k)))) < 1e-12)
        #expect(naive < mean - 0.01)
    }

    @Test("the mean over problems leaves out those with fewer than k samples")
    func passMean() throws {
        let mean = try #require(PassAtK.mean(2, over: [(samples: 2, right: 1), (samples: 2, right: 0), (samples: 1, right: 0)]))
        #expect(mean.value == 0.5)
        #expect(PassAtK.mean(2, over: [(samples: 1, right: 1)]) == nil)
    }

    // MARK: Majority vote. Source: METHODS 10.5.

    /// The exact probability that the first of three answers wins m votes, a tie being decided by `probabilities` of the completions.
    private func exact(_ law: [Double], votes m: Int, logProbabilities: [Double]) -> Double {
        var total = 0.0
        for code in 0..<Int(pow(3, Double(m))) {
            var rest = code
            let answers = (0..<m).map { _ in defer { rest /= 3 }; return rest % 3 }
            let probability = answers.reduce(1) { $0 * law[$1] }
            let winner = MajorityVote.winner(of: answers.map { MajorityVote.Vote("\($0)", logProbability: logProbabilities[$0]) })
            if winner.map({ answers[$0] }) == 0 { total += probability }
        }
        return total
    }

    @Test("a law whose best answer is right rises with m, one whose best is wrong falls; five votes give the multinomial sum")
    func laws() {
        // Ties go to the likeliest: the right answer is so in the first law, a wrong one in the second.
        let right = { exact([0.4, 0.3, 0.3], votes: $0, logProbabilities: [0, -1, -1]) }, wrong = { exact([0.3, 0.4, 0.3], votes: $0, logProbabilities: [-1, 0, -1]) }
        #expect(right(1) < right(3) && right(3) < right(5) && right(5) < right(9))
        #expect(wrong(1) > wrong(3) && wrong(3) > wrong(5) && wrong(5) > wrong(9))
        // Of five votes the first answer has a with b and c for the others: it wins with the most, and ties with it.
        func multinomial(_ law: [Double], winsTies: Bool) -> Double {
            func factorial(_ n: Int) -> Double { (0..<n).reduce(1) { $0 * Double($1 + 1) } }
            var sum = 0.0
            for a in 0...5 {
                for b in 0...5 - a {
                    let c = 5 - a - b
                    guard a > max(b, c) || (winsTies && a == max(b, c)) else { continue }
                    sum += factorial(5) / factorial(a) / factorial(b) / factorial(c) * pow(law[0], Double(a)) * pow(law[1], Double(b)) * pow(law[2], Double(c))
                }
            }
            return sum
        }
        #expect(abs(right(5) - multinomial([0.4, 0.3, 0.3], winsTies: true)) < 1e-12)
        // Tied with the second answer the first loses, tied with the third (equally likely) the one given first wins: half of those orders.
        let tiedWithThird = 30 * pow(0.3, 2) * 0.4 * pow(0.3, 2)
        #expect(abs(wrong(5) - multinomial([0.3, 0.4, 0.3], winsTies: false) - tiedWithThird / 2) < 1e-12)
    }

    @Test("unparsed answers do not vote; of equals the likeliest wins, in sum, also where probabilities vanish; equal answers vote together")
    func ties() {
        func vote(_ answer: String?, _ logProbability: Double, weight: Double = 1) -> MajorityVote.Vote { .init(answer, logProbability: logProbability, weight: weight) }
        #expect(MajorityVote.winner(of: [vote(nil, 0), vote(nil, 0), vote("7", -9)]) == 2)
        #expect(MajorityVote.winner(of: [vote(nil, 0)]) == nil)
        #expect(MajorityVote.winner(of: [vote("7", -2000), vote("8", -1999)]) == 1)
        #expect(MajorityVote.winner(of: [vote("7", -1), vote("8", -1.5), vote("8", -1.5), vote("7", -9)]) == 1, "0.45 in sum against 0.37")
        #expect(MajorityVote.winner(of: [vote("8", -1), vote("7", -1)]) == 0)
        #expect(MajorityVote.winner(of: [vote("8", 0), vote("1/2", -5), vote("0.5", -5)], areEqual: MathVerifier().areEqual) == 1)
        #expect(MajorityVote.winner(of: [vote("8", 0), vote("8", 0), vote("7", 0, weight: 3)]) == 2)
    }

    @Test("verifiers read what votes, in the form they compare; what was cut off does not vote")
    func readers() {
        func rollout(_ text: String, _ problem: Problem = Problem(id: "p", question: "?"), finish: FinishReason = .stop) -> Rollout {
            Rollout(
                key: RolloutKey(iteration: 0, phase: "test", index: 0), problem: problem, mode: .plain, promptTokens: [], completionTokens: [1], finishReason: finish, text: text,
                logProbabilities: [0], behaviorLogProbabilities: [0], temperatures: [0], weightsHash: "")
        }
        let choice = Problem(id: "c", question: "?", details: ["choices": Choices(["red", "blue"])!.encoded])
        #expect(AnswerVerifier().answer(in: rollout("so #### 18.0")) == AnswerVerifier().answer(in: rollout("= $18")))
        #expect(AnswerVerifier().answer(in: rollout("no number")) == nil)
        #expect(AnswerVerifier().answer(in: rollout("#### 18", finish: .length)) == nil)
        for (a, b) in [(#"\frac12"#, "0.5"), (#"2\pi r"#, #"2r\pi"#), (#"\log_2 8"#, "3")] {
            let answers = [a, b].compactMap { MathVerifier().answer(in: rollout("\\boxed{\($0)}")) }
            #expect(answers.count == 2 && MathVerifier().areEqual(answers[0], answers[1]), "\(a) and \(b)")
        }
        #expect(ChoiceVerifier().answer(in: rollout("The answer is (B).", choice)) == "b" && ChoiceVerifier().answer(in: rollout("(A) or (B)", choice)) == nil)
        #expect(LabelVerifier(["yes", "no"]).answer(in: rollout("Yes, it is.")) == "yes" && LabelVerifier(["yes", "no"]).answer(in: rollout("maybe")) == nil)
        #expect(AdditionVerifier(form: .direct).answer(in: rollout(" 883")) == "883")
    }

    // MARK: Statistics

    @Test("shares of one sample have Wilson's interval, those of several one over problems: copies of a problem's samples do not narrow it")
    func shares() throws {
        #expect(ProportionInterval(shares: [1, 0, 1, 1]) == ProportionInterval(successes: 3, count: 4))
        let interval = try #require(ProportionInterval(shares: [0.5, 1, 0, 0.5]))
        // The standard deviation is 0.40825, the standard error half of it.
        #expect(interval.value == 0.5 && abs(interval.high - interval.value - 1.959963984540054 * 0.2041241452) < 1e-9)
        #expect(ProportionInterval(shares: []) == nil)
        // The spread of few says little: three equal shares are no certainty, thirty are.
        #expect(ProportionInterval(shares: [0.5, 0.5, 0.5]) == ProportionInterval(successes: 1.5, count: 3))
        let many = try #require(ProportionInterval(shares: [0.25, 0.75] + [Double](repeating: 0.5, count: 28)))
        #expect(many.high - many.low < 0.1)
    }

    @Test("a paired comparison: difference, McNemar's exact p, a bootstrap interval that holds the difference and is narrower than of unpaired ones")
    func paired() throws {
        let first = (0..<200).map { $0 % 2 == 0 ? 1.0 : 0 }
        var second = first
        for place in stride(from: 1, to: 40, by: 2) { second[place] = 1 }  // twenty more
        second[0] = 0
        let comparison = try #require(PairedComparison(first, second))
        #expect(comparison.onlyFirst == 1 && comparison.onlySecond == 20 && abs(comparison.difference - 0.095) < 1e-12)
        #expect(abs(try #require(comparison.pValue) - 2 * 22 / 2_097_152) < 1e-12)  // 2 (C(21, 0) + C(21, 1)) / 2²¹
        // The spread of gains is √(21/200 − 0.095²): the normal interval, within what 10,000 draws tell.
        let half = 1.96 * ((21.0 / 200 - 0.095 * 0.095) / 200).squareRoot()
        #expect(abs(comparison.low - (0.095 - half)) < 0.006 && abs(comparison.high - (0.095 + half)) < 0.006)
        let swapped = try #require(PairedComparison(second, first))
        #expect(abs(swapped.difference + comparison.difference) < 1e-12 && swapped.pValue == comparison.pValue)
        #expect(PairedComparison.mcNemar(0, 0) == 1 && abs(PairedComparison.mcNemar(5, 5) - 1) < 1e-12 && abs(PairedComparison.mcNemar(0, 5) - 0.0625) < 1e-12)
        #expect(PairedComparison(first, first)?.high == 0 && PairedComparison([], []) == nil)
        #expect(try #require(PairedComparison([0.5, 0], [1, 0])).pValue == nil)
    }

    // MARK: Diversity

    @Test("distinct-n is the share of different runs; self-BLEU is 1 for copies and small for texts without common words")
    func diversity() throws {
        #expect(TextDiversity.distinct(1, in: ["a b a", "b c"]) == 3.0 / 5)
        #expect(TextDiversity.distinct(2, in: ["a b a", "a b"]) == 2.0 / 3)
        #expect(TextDiversity.distinct(2, in: ["a", ""]) == nil)
        #expect(abs(try #require(TextDiversity.selfBLEU(["the cat sat on the mat", "the cat sat on the mat"])) - 1) < 1e-12)
        #expect(try #require(TextDiversity.selfBLEU(["a b c d e", "f g h i j"])) < 0.05)
        // "a b c" against "a b d e": 2/3 and 1/2 are met, of the only run of three nothing, which counts as a tenth; it is shorter by one word. The other way 2/4, 1/3, 0.1/2, 0.1/1.
        let first = exp((log(2.0 / 3) + log(0.5) + log(0.1)) / 3 + 1 - 4.0 / 3), second = exp((log(0.5) + log(1.0 / 3) + log(0.05) + log(0.1)) / 4)
        #expect(abs(try #require(TextDiversity.selfBLEU(["a b c", "a b d e"])) - (first + second) / 2) < 1e-9)
        let third = exp((log(2.0 / 4) + log(1.0 / 3) + log(0.1 / 2) + log(0.1 / 1)) / 4)
        #expect(abs(try #require(TextDiversity.selfBLEU(["a b c", "a b d e", "a b c"])) - (1 + 1 + third) / 3) < 1e-9)
        #expect(TextDiversity.selfBLEU(["a", ""]) == nil)
    }

    @Test("a summary: failed judgements are counted apart and never as wrong, problems without an answer lose the vote")
    func summary() throws {
        func sample(_ problem: String, _ number: Int, _ judgement: Judgement, _ answer: String? = nil) -> EvaluatedSample {
            EvaluatedSample(problem: problem, sample: number, prompt: "?", text: "a b", judgement: judgement, answer: answer, tokens: 4, logProbability: -1)
        }
        func judged(_ outcome: Verdict.Outcome) -> Judgement { .judged(Verdict(outcome, evidence: "")) }
        let summary = EvaluationSummary([
            sample("a", 0, judged(.right), "1"), sample("a", 1, judged(.wrong), "2"), sample("a", 2, judged(.right), "1"),
            sample("b", 0, .failed(reason: "no sandbox")), sample("b", 1, judged(.unreadable)), sample("b", 2, judged(.cutOff)),
            sample("c", 0, .failed(reason: "no sandbox")),
        ], passAt: [1, 3], verifier: AnswerVerifier())
        #expect(summary.problems == 3 && summary.samples == 7 && summary.judged == 5 && summary.failed == 2 && summary.right == 2 && summary.unreadable == 1 && summary.cutOff == 1)
        #expect(abs(try #require(summary.accuracy).value - 1.0 / 3) < 1e-12)
        #expect(try #require(summary.passAt[3]).value == 1 && summary.tokens == 28)
        #expect(try #require(summary.majority).value == 0.5)
        #expect(EvaluationSummary([sample("a", 0, .failed(reason: "?"))], verifier: AnswerVerifier()).accuracy == nil)
        #expect(try JSONDecoder().decode(EvaluationSummary.self, from: JSONEncoder().encode(summary)) == summary)
    }
}
