import Architectures
import Tensors

/// AdamW or Lion with moments of 8 bits: codes of a dynamic map, in blocks of 256 values with their largest one in float32.
///
/// Parameters with fewer than 4,096 values keep theirs in float32. Source: Dettmers et al. 2022, arXiv:2110.02861, as bitsandbytes on the CPU.
final class EightBitOptimizer: Optimizer {
    static let block = 256, fewest = 4096

    /// One moment of some rows.
    private struct Codes {
        var codes: [UInt8]
        var scales: [Float]

        init(_ values: [Float], _ map: DynamicMap) {
            codes = []
            scales = []
            codes.reserveCapacity(values.count)
            for start in stride(from: 0, to: values.count, by: block) {
                let values = values[start..<min(values.count, start + block)], scale = values.reduce(0) { max($0, abs($1)) }, inverse = scale > 0 ? 1 / scale : 0
                scales.append(scale)
                for value in values { codes.append(map.code(value * inverse)) }
            }
        }

        func values(_ range: Range<Int>, _ map: DynamicMap) -> [Float] { range.map { map.values[Int(codes[$0])] * scales[$0 / block] } }
    }

    let options: OptimizerOptions
    var steps = 0
    /// Of small parameters.
    private let small: any Optimizer
    private let maps: [DynamicMap]
    private var codes: [String: [Codes]] = [:]

    static func isLarge(_ shape: [Int]) -> Bool { shape.reduce(1, *) >= fewest }

    init(_ options: OptimizerOptions, for parameters: ParameterSet) {
        self.options = options
        let isSmall = { (parameter: Parameter) in !Self.isLarge(parameter.shape) }
        small = options.kind == .lion8bit ? ElementwiseOptimizer.lion(options, for: parameters, where: isSmall) : AdamW(options, for: parameters, where: isSmall)
        maps = options.kind == .lion8bit ? [.signed] : [.signed, .unsigned]
        for parameter in parameters.parameters where options.trains(parameter) && !isSmall(parameter) {
            codes[parameter.name] = maps.map { Codes(Array(repeating: 0, count: parameter.shape.reduce(1, *)), $0) }
        }
    }

    var moments: [ParameterBuffers] { small.moments }

    var state: [String: OptimizerState] {
        get {
            var state: [String: OptimizerState] = [:]
            for (name, moments) in codes {
                for (index, moment) in moments.enumerated() {
                    state["codes\(index + 1).\(name)"] = .bytes(moment.codes)
                    state["scales\(index + 1).\(name)"] = .floats(moment.scales)
                }
            }
            return state
        }
        set {
            for name in codes.keys {
                for index in maps.indices {
                    if case .bytes(let bytes)? = newValue["codes\(index + 1).\(name)"] { codes[name]?[index].codes = bytes }
                    if case .floats(let scales)? = newValue["scales\(index + 1).\(name)"] { codes[name]?[index].scales = scales }
                }
            }
        }
    }

    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep) {
        guard let old = codes[parameter.name] else { return small.update(parameter, gradients, step) }
        let width = parameter.isMatrix ? parameter.shape[1] : 1, maps = maps, change = options.kind == .lion8bit ? lion(step) : adamW(step), scale = step.gradientScale
        // A stretch of 256 rows begins with a block.
        let parts = parameter.mapRows(writing: [gradients.parameters], reading: [gradients]) { rows, written, values in
            var moments = zip(old, maps).map { $0.values(rows.lowerBound * width..<rows.upperBound * width, $1) }
            for index in values[0].indices { change(&written[0][index], scale * values[0][index], &moments, index) }
            return zip(moments, maps).map { Codes($0, $1) }
        }
        for index in maps.indices {
            codes[parameter.name]?[index].codes = parts.flatMap { $0[index].codes }
            codes[parameter.name]?[index].scales = parts.flatMap { $0[index].scales }
        }
    }

    private typealias Change = (_ weight: inout Float, _ gradient: Float, _ moments: inout [[Float]], _ index: Int) -> Void

    private var keeps: (Float, Float, Float, Float) { (Float(options.beta1), Float(options.beta2), Float(1 - options.beta1), Float(1 - options.beta2)) }

    private func adamW(_ step: UpdateStep) -> Change {
        let (keep1, keep2, add1, add2) = keeps, root = step.correction(options.beta2).squareRoot()
        let rate = Float(step.learningRate * root / step.correction(options.beta1)), epsilon = Float(root * options.epsilon)
        let shrink = Float(1 - step.learningRate * step.decay)
        return { weight, gradient, moments, index in
            let first = keep1 * moments[0][index] + add1 * gradient, second = keep2 * moments[1][index] + add2 * gradient * gradient
            weight = weight * shrink - rate * (first / (second.squareRoot() + epsilon))
            (moments[0][index], moments[1][index]) = (first, second)
        }
    }

    private func lion(_ step: UpdateStep) -> Change {
        let (keep1, keep2, add1, add2) = keeps, rate = Float(step.learningRate), shrink = Float(1 - step.learningRate * step.decay)
        return { weight, gradient, moments, index in
            let direction = keep1 * moments[0][index] + add1 * gradient
            weight = weight * shrink - rate * (direction == 0 ? 0 : direction < 0 ? -1 : 1)
            // Rounded once, as there: a last bit can decide between two codes.
            moments[0][index] = (keep2 * moments[0][index]).addingProduct(add2, gradient)
        }
    }
}
