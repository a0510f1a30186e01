/// Rows of a table `[vocabulary, width]`, one per token.
///
/// The tape records the lookup where the table trains; later ops find the tape through the result.
/// - Returns: `[tokens, width]`.
public func embedding(_ tokens: [Int32], _ table: Parameter, tape: Tape?) -> Tensor {
    let y = table.backend.empty([tokens.count, table.shape[1]])
    table.backend.gather(tokens, from: table.matrix, into: y)
    guard let tape else { return y }
    return y.recorded(on: tape, needsGradient: tape.gradients.trains(table)) { dy, tape in
        let gradients = tape.gradients
        gradients.defer { [unowned gradients] in dy.backend.scatterAdd(dy, tokens, into: gradients.matrix(table)) }
    }
}

/// Chosen rows of a tensor `[N, width]`; a row may be chosen more than once.
public func gatherRows(_ x: Tensor, _ rows: [Int32]) -> Tensor {
    let y = x.backend.empty([rows.count, x.width])
    x.backend.gatherRows(x, rows, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in
        source.add { dx in
            dx.backend.fill(dx, with: 0)
            dx.backend.scatterAddRows(dy, rows, into: dx)
        }
    }
}

/// The rows of `a`, then those of `b`.
public func joinRows(_ a: Tensor, _ b: Tensor) -> Tensor {
    let (rows, width) = (a.rows, a.width)
    let y = a.backend.empty([rows + b.rows, width])
    a.backend.copy(a.reshaped(rows, width), to: y.slice(0..<rows))
    a.backend.copy(b.reshaped(b.rows, width), to: y.slice(rows..<y.shape[0]))
    let (first, second) = (GradientSink(a), GradientSink(b))
    return y.recorded(from: [a, b]) { dy, _ in
        first.add(dy.slice(0..<rows))
        second.add(dy.slice(rows..<dy.shape[0]))
    }
}

/// The mean of each run of rows, added up in increasing row.
/// - Returns: `[runs, width]`.
public func meanRows(_ x: Tensor, _ runs: [Range<Int>]) -> Tensor {
    let backend = x.backend, width = x.width
    let y = backend.empty([runs.count, width])
    backend.meanRows(x.reshaped(x.rows, width), runs, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in
        source.add { dx in
            backend.fill(dx, with: 0)
            backend.spreadRows(dy, runs, into: dx)
        }
    }
}
