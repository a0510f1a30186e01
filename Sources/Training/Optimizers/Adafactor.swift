import Architectures
import Tensors

/// A second moment kept as the means of its rows and columns, updates clipped to a root mean square of 1, and steps that may follow the
/// size of the weights. Source: Shazeer and Stern 2018, arXiv:1804.04235; constants as in transformers and PyTorch.
final class Adafactor: Optimizer {
    private struct Factors {
        /// Means of squares: of rows, or of each value of a vector.
        var rows: [Float]
        /// By column; of leading axes one after the other.
        var columns: [Float]
    }

    let options: OptimizerOptions
    var steps = 0
    /// The first, where there is momentum.
    let moments: [ParameterBuffers]
    private var factors: [String: Factors] = [:]

    init(_ options: OptimizerOptions, for parameters: ParameterSet) {
        self.options = options
        moments = options.momentum == 0 ? [] : [ParameterBuffers(of: parameters, where: options.trains)]
        for parameter in parameters.parameters where options.trains(parameter) {
            let columns = parameter.isMatrix ? parameter.shape[0] / Self.height(parameter) * parameter.shape[1] : 0
            factors[parameter.name] = Factors(rows: Array(repeating: 0, count: parameter.shape[0]), columns: Array(repeating: 0, count: columns))
        }
    }

    var state: [String: OptimizerState] {
        get {
            var state: [String: OptimizerState] = [:]
            for (name, factors) in factors {
                state["rows.\(name)"] = .floats(factors.rows)
                if !factors.columns.isEmpty { state["columns.\(name)"] = .floats(factors.columns) }
            }
            return state
        }
        set {
            for name in factors.keys {
                if case .floats(let rows)? = newValue["rows.\(name)"] { factors[name]?.rows = rows }
                if case .floats(let columns)? = newValue["columns.\(name)"] { factors[name]?.columns = columns }
            }
        }
    }

    /// Rows that share their columns: those of the last two axes, where files keep more.
    private static func height(_ parameter: Parameter) -> Int {
        let axes = parameter.fileShape
        return axes.count > 2 && !parameter.isTransposed && axes.last == parameter.shape[1] ? axes[axes.count - 2] : parameter.shape[0]
    }

    /// Sums over a stretch of rows, in order.
    private struct Sums {
        var rows: [Double], columns: [Double]
        var weights = 0.0
    }

    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep) {
        guard var state = factors[parameter.name] else { preconditionFailure("'\(parameter.name)' was frozen when the optimizer was made") }
        let parameters = gradients.parameters, isTorch = options.kind == .torchAdafactor, scale = step.gradientScale, epsilon = Float(options.epsilon)
        let width = parameter.isMatrix ? parameter.shape[1] : 1, height = Self.height(parameter), count = Double(parameter.shape[0] * width)
        let isFactored = parameter.isMatrix, columnCount = state.columns.count

        let sums = parameter.mapRows(reading: [parameters, gradients]) { rows, _, values in
            var sums = Sums(rows: Array(repeating: 0, count: rows.count), columns: Array(repeating: 0, count: columnCount))
            for (index, row) in rows.enumerated() {
                let group = row / height * width
                for column in 0..<width {
                    let at = index * width + column, gradient = scale * values[1][at], weight = Double(values[0][at])
                    let square = Double(gradient * gradient + (isTorch ? 0 : epsilon))
                    sums.rows[index] += square
                    if isFactored { sums.columns[group + column] += square }
                    sums.weights += weight * weight
                }
            }
            return sums
        }
        let forget = fixedExp(-0.8 * fixedLog(Double(step.number))), (keep, add) = (Float(1 - forget), Float(forget))
        for (row, sum) in sums.flatMap(\.rows).enumerated() { state.rows[row] = keep * state.rows[row] + add * Float(sum / Double(width)) }
        for column in 0..<columnCount {
            state.columns[column] = keep * state.columns[column] + add * Float(sums.reduce(0) { $0 + $1.columns[column] } / Double(height))
        }
        factors[parameter.name] = state

        // Rows as shares of their mean; of a vector the second moment itself.
        var shares = state.rows
        if isFactored {
            for first in stride(from: 0, to: shares.count, by: height) {
                let mean = Float(shares[first..<first + height].reduce(0) { $0 + Double($1) } / Double(height))
                for row in first..<first + height { shares[row] /= isTorch ? max(mean, epsilon) : mean }
            }
        }
        let columns = state.columns
        func change(_ row: Int, _ column: Int, _ gradient: Float) -> Float {
            let factor = isFactored ? columns[row / height * width + column] : 1
            // Apart, as the product of two small ones is 0.
            return isTorch ? scale * gradient / max(shares[row] * factor, epsilon * epsilon).squareRoot() : scale * gradient / shares[row].squareRoot() / factor.squareRoot()
        }
        let squares = parameter.mapRows(reading: [gradients]) { rows, _, values in
            var sum = 0.0
            for (index, row) in rows.enumerated() {
                for column in 0..<width {
                    let value = Double(change(row, column, values[0][index * width + column]))
                    sum += value * value
                }
            }
            return sum
        }
        let clip = max(1, (squares.reduce(0, +) / count).squareRoot())
        let rate = rate(step, size: (sums.reduce(0) { $0 + $1.weights } / count).squareRoot())
        let factor = Float(rate / clip), shrink = Float(1 - (isTorch ? step.learningRate : rate) * step.decay), (keepFirst, addFirst) = (Float(options.momentum), Float(1 - options.momentum))
        let written: [any ParameterValues] = [parameters] + moments
        _ = parameter.mapRows(writing: written, reading: [gradients]) { rows, written, values in
            for (index, row) in rows.enumerated() {
                for column in 0..<width {
                    let at = index * width + column
                    var value = factor * change(row, column, values[0][at])
                    if written.count > 1 {
                        value = keepFirst * written[1][at] + addFirst * value
                        written[1][at] = value
                    }
                    written[0][at] = written[0][at] * shrink - value
                }
            }
        }
    }

    /// - Parameter size: the root mean square of the weights.
    private func rate(_ step: UpdateStep, size: Double) -> Double {
        let root = 1 / Double(step.number).squareRoot(), scale = max(1e-3, size)
        return switch options.kind {
        case .relativeAdafactor: step.learningRate * min(1e-6 * Double(step.number), root) * scale
        case .torchAdafactor: min(step.learningRate, root) * scale
        default: step.learningRate
        }
    }
}
