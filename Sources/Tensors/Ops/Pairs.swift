/// Products of queries with vectors that belong to a distance or a segment, head by head: `y[n, h, r] = a[n, h] · b[r, h]`.
///
/// - Parameters:
///   - a: `[N, heads, headDim]`.
///   - b: `[R, heads, headDim]`.
/// - Returns: `[N, heads, R]`.
public func headProducts(_ a: Tensor, _ b: Tensor) -> Tensor {
    precondition(a.shape.count == 3 && b.shape.count == 3 && a.shape[1...] == b.shape[1...], "headProducts: \(a.shape) and \(b.shape)")
    let y = a.backend.empty([a.shape[0], a.shape[1], b.shape[0]])
    a.backend.headProducts(a, b, into: y)
    guard a.node != nil || b.node != nil else { return y }
    let (keptA, keptB, sinkA, sinkB) = (Kept(a), Kept(b), GradientSink(a), GradientSink(b))
    return y.recorded(from: [a, b]) { dy, _ in
        let (a, b) = (keptA.restore(), keptB.restore())
        let da = sinkA.isNeeded ? dy.backend.empty(a.shape) : nil, db = sinkB.isNeeded ? dy.backend.empty(b.shape) : nil
        dy.backend.headProductsBackward(dy, a, b, da: da, db: db)
        if let da { sinkA.add(da) }
        if let db { sinkB.add(db) }
    }
}

/// One entry of `x` for every pair of query and key: `y[h, p] = x[rows[p], h, columns[p]]`.
///
/// `x` is `[N, heads, R]`, as `headProducts` gives it.
/// - Returns: `[heads, pairs]`, for `AttentionOptions.pairs`.
public func gatherPairs(_ x: Tensor, rows: [Int32], columns: [Int32]) -> Tensor {
    precondition(rows.count == columns.count, "\(rows.count) rows and \(columns.count) columns")
    let y = x.backend.empty([x.shape[1], rows.count])
    x.backend.gatherPairs(x, rows: rows, columns: columns, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in
        source.add { dx in
            dx.backend.fill(dx, with: 0)
            dx.backend.scatterPairs(dy, rows: rows, columns: columns, into: dx)
        }
    }
}

extension AttentionPlan {
    /// Every pair of a query row and a key row that lie in one sequence, in the order in which attention takes biases for them.
    public var pairs: (queries: [Int32], keys: [Int32]) {
        var pairs: (queries: [Int32], keys: [Int32]) = ([], [])
        for sequence in sequences {
            let keys = sequence.runs.joined().map { Int32($0) }
            for query in sequence.queries {
                pairs.queries += repeatElement(Int32(query), count: keys.count)
                pairs.keys += keys
            }
        }
        return pairs
    }
}
