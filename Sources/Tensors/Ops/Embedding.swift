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
