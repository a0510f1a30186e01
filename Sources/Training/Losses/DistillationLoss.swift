import Tensors

/// How far a student's row of logits is from its teacher's, by the student's logits. The laws are q of the student and p of the teacher.
public enum DistillationLoss: Sendable, Codable, Equatable {
    /// KL(p || q): the student covers all that the teacher does. Source: Hinton et al. 2015, arXiv:1503.02531.
    case forwardKL
    /// KL(q || p): the student keeps to the teacher's main modes. Source: Gu et al. 2023, arXiv:2306.08543.
    case reverseKL
    /// β KL(p || m) + (1 - β) KL(q || m) with m = βp + (1 - β)q; forward KL where β is 0, reverse KL where it is 1. Source: Agarwal et al. 2023,
    /// arXiv:2306.13649.
    case jensenShannon(beta: Double)
    /// KL(p || αp + (1 - α)q). Source: Ko et al. 2024, arXiv:2402.03898.
    case skewKL(alpha: Double)
    /// -Σ p ln q: forward KL and the teacher's entropy, with the same gradient.
    case crossEntropy
    /// The mean of squared differences of logits, without temperature; `centred` takes each row's mean off first, which softmax ignores.
    case squaredError(centred: Bool)

    /// - Parameters:
    ///   - student: logits; the gradient is by these.
    ///   - teacher: as many; -∞ where the teacher masks a token.
    ///   - temperature: both rows of logits are divided by it. The loss is not multiplied by its square.
    public func callAsFunction(student: [Double], teacher: [Double], temperature: Double = 1) -> RowLoss {
        precondition(student.count == teacher.count, "\(student.count) logits of a student and \(teacher.count) of its teacher")
        if case .squaredError(let centred) = self { return Self.squaredError(student, teacher, centred) }
        return callAsFunction(student: SoftmaxRow(student, temperature: temperature), teacher: SoftmaxRow(teacher, temperature: temperature))
    }

    private func callAsFunction(student: SoftmaxRow, teacher: SoftmaxRow) -> RowLoss {
        let (q, logQ, p, logP) = (student.probabilities, student.logProbabilities, teacher.probabilities, teacher.logProbabilities)
        switch self {
        case .forwardKL, .jensenShannon(beta: 0):
            return student.loss(q.indices.reduce(0) { $0 + weighted(p[$1], logP[$1] - logQ[$1]) }, byLogProbability: p.map { -$0 })
        case .reverseKL, .jensenShannon(beta: 1):
            let terms = q.indices.map { weighted(q[$0], logQ[$0] - logP[$0]) }
            return student.loss(terms.reduce(0, +), byLogProbability: terms)
        case .jensenShannon(let beta):
            let logM = Self.logMixture(logP, logQ, beta), fromM = q.indices.map { weighted(q[$0], logQ[$0] - logM[$0]) }
            let value = q.indices.reduce(0) { $0 + beta * weighted(p[$1], logP[$1] - logM[$1]) + (1 - beta) * fromM[$1] }
            return student.loss(value, byLogProbability: fromM.map { (1 - beta) * $0 })
        case .skewKL(let alpha):
            let logM = Self.logMixture(logP, logQ, alpha)
            let value = q.indices.reduce(0) { $0 + weighted(p[$1], logP[$1] - logM[$1]) }
            return student.loss(value, byLogProbability: q.indices.map { -weighted(p[$0], (1 - alpha) * fixedExp(logQ[$0] - logM[$0])) })
        case .crossEntropy: return student.crossEntropy(p)
        case .squaredError: preconditionFailure("a loss of logits, not of laws")
        }
    }

    /// ln(share · p + (1 - share) · q), the larger first.
    private static func logMixture(_ logP: [Double], _ logQ: [Double], _ share: Double) -> [Double] {
        let (first, second) = (fixedLog(share), fixedLog(1 - share))
        return zip(logP, logQ).map {
            let (a, b) = (first + $0, second + $1)
            return max(a, b) + fixedLog(1 + fixedExp(-abs(a - b)))
        }
    }

    private static func squaredError(_ student: [Double], _ teacher: [Double], _ centred: Bool) -> RowLoss {
        let count = Double(student.count), differences = zip(student, teacher).map { $0 - $1 }
        let middle = centred ? differences.reduce(0, +) / count : 0
        let errors = differences.map { $0 - middle }
        return RowLoss(errors.reduce(0) { $0 + $1 * $1 } / count, gradient: errors.map { 2 * $0 / count })
    }
}

/// A teacher's law beside a hard label: α T² KL(p || q) of both laws at temperature T, and 1 - α times the cross-entropy at temperature 1.
///
/// T² keeps the gradient's size whatever T is. Source: Hinton et al. 2015, arXiv:1503.02531.
public struct SoftLabels: Sendable, Codable, Equatable {
    /// T.
    public var temperature: Double
    /// α, from 0 to 1.
    public var share: Double

    public init(temperature: Double = 2, share: Double = 0.5) {
        self.temperature = temperature
        self.share = share
    }

    /// - Parameters:
    ///   - student: logits; the gradient is by these.
    ///   - teacher: as many.
    ///   - target: the class; below 0 for none, and the row is ignored.
    public func callAsFunction(student: [Double], teacher: [Double], target: Int32) -> RowLoss {
        guard target >= 0 else { return .ignored(width: student.count) }
        let soft = DistillationLoss.forwardKL(student: student, teacher: teacher, temperature: temperature)
        return share * temperature * temperature * soft + (1 - share) * CrossEntropy()(student, target: target)
    }
}
