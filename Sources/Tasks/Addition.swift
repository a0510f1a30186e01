import Foundation

/// A prompt with the completion that a model should give, to train on before any sampling.
public struct WorkedExample: Codable, Sendable, Equatable {
    public var problem: Problem
    public var mode: PromptMode
    public var prompt: String
    public var completion: String

    public init(problem: Problem, mode: PromptMode, prompt: String, completion: String) {
        self.problem = problem
        self.mode = mode
        self.prompt = prompt
        self.completion = completion
    }
}

/// n-digit addition, with STaR's scratchpad or asked for directly.
///
/// Both operands have the same number of digits, none with a leading zero (except 0 itself). The hash of the unordered
/// pair puts it into one of four parts: train, dev, test, or a warm-up part that is never trained by sampling nor tested.
/// Parts depend on nothing else, so they are the same for every seed, and swapping the operands changes no part.
/// Source: Zelikman et al. 2022, arXiv:2203.14465, section 4.1.
public struct Addition: Environment {
    public enum Form: String, Codable, Sendable, CaseIterable {
        /// `Input:\n6 2 4 + 2 5 9\nTarget:\n`, answered by a scratchpad and the sum.
        case scratchpad
        /// `624 + 259 =`, answered by ` 883`.
        case direct
    }

    /// What only the prompt of a hinted scratchpad problem holds.
    public static let hintMarker = "Target: "

    public let name: String
    public let digits: ClosedRange<Int>
    public let form: Form
    public let seed: UInt64
    public let stops: [String]
    public let maxTokens: Int
    private let examples: [Problem]
    private let train, dev, test: [Problem]

    /// - Parameters:
    ///   - digits: the lengths of the operands, within 1...18.
    ///   - form: with a scratchpad or directly; also decides where a completion stops.
    ///   - seed: which of the training pairs are drawn and in which order; dev and test are the same for all seeds.
    ///   - trainCount: training problems over all lengths; fewer where the lengths have fewer.
    ///   - shares: each length's share of the training problems, to any sum; lengths left out get none. Empty: equal shares.
    ///     What a short length cannot fill goes to the others.
    ///   - devPerLength: dev problems of each length, fewer where it has fewer (4 of the 55 one-digit pairs).
    ///   - testPerLength: test problems of each length, fewer where it has fewer (15 of the 55 one-digit pairs).
    ///   - fewShot: worked examples before each problem, from the warm-up part, shortest first.
    ///   - maxTokens: `nil`: as many as the longest right answer has characters, and 16 more.
    ///   - name: of the task, in records and errors.
    /// - Throws: `TaskError.badValue`.
    public init(
        digits: ClosedRange<Int>, form: Form = .scratchpad, seed: UInt64 = 0, trainCount: Int = 10_000,
        shares: [Int: Double] = [:], devPerLength: Int = 100, testPerLength: Int = 200, fewShot: Int = 0,
        maxTokens: Int? = nil, name: String = "addition"
    ) throws {
        func refuse(_ key: String, _ value: String, _ reason: String) -> TaskError {
            .badValue(file: name, line: nil, key: key, value: value, reason: reason)
        }
        guard digits.lowerBound >= 1, digits.upperBound <= 18 else {
            throw refuse("digits", "\(digits.lowerBound)-\(digits.upperBound)", "Choose lengths within 1 to 18.")
        }
        for (key, count) in [
            ("train-count", trainCount), ("dev-per-length", devPerLength), ("test-per-length", testPerLength), ("few-shot", fewShot),
        ] where count < 0 || count > 10_000_000 {
            throw refuse(key, "\(count)", "Choose a number from 0 to 10000000.")
        }
        for (length, share) in shares.sorted(by: { $0.key < $1.key }) where !digits.contains(length) || !(share >= 0) || !share.isFinite {
            throw refuse("shares", "\(length): \(share)", "Give lengths within \(digits.lowerBound)-\(digits.upperBound) a share of 0 or more.")
        }
        self.name = name
        self.digits = digits
        self.form = form
        self.seed = seed
        stops = form == .scratchpad ? ["\n\n"] : ["\n"]
        let nines = String(repeating: "9", count: digits.upperBound)
        let longest = form == .scratchpad ? Self.scratchpad(nines, nines).utf8.count : nines.utf8.count + 2
        self.maxTokens = maxTokens ?? longest + 16

        var generator = SeededGenerator(seed: seed, label: "addition train")
        let weights = digits.map { shares.isEmpty ? 1 : shares[$0] ?? 0 }
        let counts = Self.allocate(trainCount, weights: weights, capacities: digits.map { Self.capacity(.train, digits: $0) })
        var train: [Problem] = []
        for (length, count) in zip(digits, counts) {
            train += Self.pairs(.train, digits: length, count: count, using: &generator).map { Self.problem($0, $1) }
        }
        self.train = generator.shuffled(train)

        var heldOut = SeededGenerator(seed: 0, label: "addition held out")
        var dev: [Problem] = []
        var test: [Problem] = []
        for length in digits {
            dev += Self.pairs(.dev, digits: length, count: devPerLength, using: &heldOut).map { Self.problem($0, $1) }
            test += Self.pairs(.test, digits: length, count: testPerLength, using: &heldOut).map { Self.problem($0, $1) }
        }
        self.dev = dev
        self.test = test

        var shown = SeededGenerator(seed: seed, label: "addition few-shot")
        let perLength = Self.allocate(
            fewShot, weights: digits.map { _ in 1 }, capacities: digits.map { Self.capacity(.warmUp, digits: $0) })
        var examples: [Problem] = []
        for (length, count) in zip(digits, perLength) {
            examples += Self.pairs(.warmUp, digits: length, count: count, using: &shown).map { Self.problem($0, $1) }
        }
        self.examples = examples
    }

    public func problems(in split: Split) -> [Problem] {
        switch split {
        case .train: train
        case .dev: dev
        case .test: test
        }
    }

    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        var text = ""
        for example in examples {
            let (prompt, completion) = try workedExample(example, mode: mode)
            text += prompt + completion + (form == .scratchpad ? "\n\n" : "\n")
        }
        return .text(text + (try prompt(problem, mode: mode)))
    }

    public var verifier: any Verifier { AdditionVerifier(form: form) }

    /// The problem solved as the task wants it, without few-shot examples; prompt and completion join without a space.
    ///
    /// The completion has no end mark: whoever trains on it appends the end-of-text token, or a blank line.
    public func goldCompletion(_ problem: Problem) throws -> String? { try workedExample(problem, mode: .plain).completion }

    public func workedExample(_ problem: Problem, mode: PromptMode) throws -> (prompt: String, completion: String) {
        let (a, b) = try Self.operands(of: problem)
        let completion = form == .scratchpad ? Self.scratchpad(a, b) : " \(Self.sum(a, b))"
        return (try prompt(problem, mode: mode), completion)
    }

    /// Worked examples that teach a model the format, each in its plain form and then in its hinted form.
    ///
    /// Their pairs are in no split. Few are of the longest length, so that it is left to be learnt by self-training.
    /// - Parameters:
    ///   - count: at most 500 problems, so twice as many examples; fewer where the lengths have fewer.
    ///   - longest: at most 20 problems of the longest length.
    ///   - seed: which pairs are drawn and in which order; `nil` takes the task's own.
    public func warmUp(count: Int = 500, longest: Int = 20, seed: UInt64? = nil) throws -> [WorkedExample] {
        guard (0...500).contains(count) else {
            throw TaskError.badValue(file: name, line: nil, key: "warm-up count", value: "\(count)", reason: "Choose 0 to 500; more would be supervised training.")
        }
        guard (0...20).contains(longest) else {
            throw TaskError.badValue(file: name, line: nil, key: "warm-up longest", value: "\(longest)", reason: "Choose 0 to 20; the longest length is what self-training shall learn.")
        }
        var generator = SeededGenerator(seed: seed ?? self.seed, label: "addition warm-up")
        let ofLongest = min(longest, count)
        let bothOrders = Self.allPairs(.warmUp, digits: 1).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 2) }
        let counts = Self.allocate(
            count - ofLongest, weights: digits.map { $0 == digits.upperBound ? 0 : 1 },
            capacities: digits.map { $0 == 1 ? bothOrders : Self.capacity(.warmUp, digits: $0) })
        var problems: [Problem] = []
        for (length, count) in zip(digits, counts) {
            let wanted = length == digits.upperBound ? ofLongest : count
            var pairs = Self.pairs(.warmUp, digits: length, count: wanted, using: &generator)
            if length == 1 {  // so few pairs that both orders are shown
                pairs = Array((pairs + pairs.filter { $0.0 != $0.1 }.map { ($0.1, $0.0) }).prefix(wanted))
            }
            problems += pairs.map { Self.problem($0, $1) }
        }
        return try generator.shuffled(problems).flatMap { problem in
            try [PromptMode.plain, .hinted].map { mode in
                let (prompt, completion) = try workedExample(problem, mode: mode)
                return WorkedExample(problem: problem, mode: mode, prompt: prompt, completion: completion)
            }
        }
    }

    /// The scratchpad and the sum of two numbers of equally many decimal digits.
    ///
    /// Each line shows the next digits to add, the digits produced so far and the carry; the last but one puts the last
    /// carry before the result, and the answer follows the closing tag.
    public static func scratchpad(_ a: String, _ b: String) -> String {
        let (x, y) = (digitValues(a), digitValues(b))
        precondition(x.count == y.count && !x.isEmpty, "'\(a)' and '\(b)' have not equally many digits")
        var (carry, result) = (0, [Int]())
        var lines = ["<scratch>", "\(spaced(x)) + \(spaced(y)) , C: 0"]
        for column in x.indices.reversed() {
            let total = x[column] + y[column] + carry
            carry = total / 10
            result.insert(total % 10, at: 0)
            let next = column > 0 ? "\(x[column - 1]) + \(y[column - 1]) " : ""
            lines.append("\(next), \(spaced(result)) C: \(carry)")
        }
        lines += [spaced([carry] + result), "</scratch>", spaced(carry > 0 ? [carry] + result : result)]
        return lines.joined(separator: "\n")
    }

    // MARK: - Prompts

    private func prompt(_ problem: Problem, mode: PromptMode) throws -> String {
        let (a, b) = try Self.operands(of: problem)
        let hint: String? =
            switch mode {
            case .plain: nil
            case .hinted: try Self.hint(of: problem, task: name)
            }
        switch form {
        case .scratchpad:
            let target = hint.map { " " + Self.spaced(Self.digitValues($0)) } ?? ""
            return "Input:\n\(Self.spaced(Self.digitValues(a))) + \(Self.spaced(Self.digitValues(b)))\nTarget:\(target)\n"
        case .direct:
            return "\(a) + \(b)\(hint.map { " (\($0))" } ?? "") ="
        }
    }

    /// The answer that the problem holds, right or (in a control) not.
    private static func hint(of problem: Problem, task: String) throws -> String {
        guard let answer = problem.answer, !answer.isEmpty, answer.allSatisfy(\.isASCIIDigit) else {
            throw TaskError.noHint(task: task, problem: problem.id, reason: "its answer is not a row of digits. Use problems that this task made.")
        }
        return answer
    }

    private static func operands(of problem: Problem) throws -> (String, String) {
        let parts = problem.question.components(separatedBy: " + ")
        guard parts.count == 2, parts[0].count == parts[1].count, parts[0].count <= 18,
            parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) })
        else {
            throw TaskError.badProblem(id: problem.id, reason: "'\(problem.question)' is no sum of two numbers of equally many digits, such as '624 + 259'.")
        }
        return (parts[0], parts[1])
    }

    private static func sum(_ a: String, _ b: String) -> Int { Int(a)! + Int(b)! }
    private static func digitValues(_ text: String) -> [Int] { text.map { $0.wholeNumberValue! } }
    private static func spaced(_ digits: [Int]) -> String { digits.map(String.init).joined(separator: " ") }

    // MARK: - Problems

    private enum Part { case test, dev, warmUp, train }

    private static func part(_ a: Int, _ b: Int) -> Part {
        let golden: UInt64 = 0x9E37_79B9_7F4A_7C15
        let (low, high) = (UInt64(min(a, b)), UInt64(max(a, b)))
        return switch StableHash.fraction(StableHash.mix(StableHash.mix(low &+ golden) ^ (high &* golden))) {
        case ..<0.2: .test
        case ..<0.3: .dev
        case ..<0.5: .warmUp
        default: .train
        }
    }

    private static func problem(_ a: Int, _ b: Int) -> Problem {
        Problem(
            id: "addition-\(a)+\(b)", question: "\(a) + \(b)", answer: String(a + b), category: String(String(a).count),
            details: ["splitKey": "\(min(a, b)) + \(max(a, b))"])
    }

    private static func bounds(digits: Int) -> Range<Int> {
        let power = (0..<digits - 1).reduce(1) { power, _ in power * 10 }
        return (digits == 1 ? 0 : power)..<power * 10
    }

    /// How many unordered pairs a length has in a part: counted up to two digits, a safe estimate above.
    private static func capacity(_ part: Part, digits: Int) -> Int {
        if digits <= 2 { return allPairs(part, digits: digits).count }
        // Of 405,450 pairs, half of which train; of 40,504,500 and more.
        return digits == 3 ? (part == .train ? 200_000 : 30_000) : 1_000_000
    }

    private static func allPairs(_ part: Part, digits: Int) -> [(Int, Int)] {
        let bounds = bounds(digits: digits)
        return bounds.flatMap { a in (a..<bounds.upperBound).compactMap { b in self.part(a, b) == part ? (a, b) : nil } }
    }

    /// Different unordered pairs of one part, in random order of pairs and operands; as many as there are, up to `count`.
    private static func pairs(_ part: Part, digits: Int, count: Int, using generator: inout SeededGenerator) -> [(Int, Int)] {
        let bounds = bounds(digits: digits)
        if digits <= 2 {
            let pairs = generator.shuffled(allPairs(part, digits: digits)).prefix(count)
            return pairs.map { generator.below(2) == 0 ? ($0, $1) : ($1, $0) }
        }
        // Every part holds a tenth of the pairs or more, so drawing finds new ones soon.
        let count = min(count, capacity(part, digits: digits))
        var seen: Set<[Int]> = []
        var pairs: [(Int, Int)] = []
        while pairs.count < count {
            let a = bounds.lowerBound + generator.below(bounds.count)
            let b = bounds.lowerBound + generator.below(bounds.count)
            if self.part(a, b) == part, seen.insert([min(a, b), max(a, b)]).inserted { pairs.append((a, b)) }
        }
        return pairs
    }

    /// Divides a total by weights without passing any capacity; what one cannot take goes to the others.
    private static func allocate(_ total: Int, weights: [Double], capacities: [Int]) -> [Int] {
        precondition(weights.count == capacities.count, "\(weights.count) weights for \(capacities.count) capacities")
        var taken = weights.map { _ in 0 }
        var left = total
        var open = weights.indices.filter { weights[$0] > 0 && capacities[$0] > 0 }
        while left > 0, !open.isEmpty {
            let sum = open.reduce(0.0) { $0 + weights[$1] }
            var given = 0
            for i in open {
                let share = min(Int(Double(left) * (weights[i] / sum)), capacities[i] - taken[i], left - given)
                taken[i] += share
                given += share
            }
            if given == 0 {  // fewer are left than there are lengths
                for i in open.prefix(left) {
                    taken[i] += 1
                    given += 1
                }
            }
            left -= given
            open.removeAll { taken[$0] >= capacities[$0] }
        }
        return taken
    }
}

extension Character {
    var isASCIIDigit: Bool { isASCII && isNumber }
}

extension TaskKind {
    /// `type: addition`
    static let addition = TaskKind(
        name: "addition", summary: "n-digit addition, with a scratchpad or directly; needs no data",
        keys: [
            "digits", "form", "seed", "train-count", "shares", "dev-per-length", "test-per-length", "few-shot", "max-tokens",
        ]
    ) { file in
        var shares: [Int: Double] = [:]
        if let section = try file.section("shares") {
            for entry in section.entries {
                guard let length = Int(entry.key) else {
                    throw TaskError.badValue(
                        file: file.source, line: entry.value.line, key: "shares", value: entry.key, reason: "Its keys are numbers of digits, such as '2: 0.5'.")
                }
                shares[length] = try section.double(entry.key)
            }
        }
        return try Addition(
            digits: file.range("digits") ?? 1...5, form: file.choice("form", Addition.Form.self) ?? .scratchpad,
            seed: file.seed("seed") ?? 0, trainCount: file.count("train-count") ?? 10_000, shares: shares,
            devPerLength: file.count("dev-per-length") ?? 100, testPerLength: file.count("test-per-length") ?? 200,
            fewShot: file.count("few-shot") ?? 0, maxTokens: file.count("max-tokens"), name: file.name)
    }
}
