/// Values that lie like the parameters: the weights themselves, gradients, what an optimizer keeps.
public protocol ParameterValues {
    /// Of a parameter with two axes.
    func matrix(_ parameter: Parameter) -> Matrix
    /// Of a parameter with one axis.
    func vector(_ parameter: Parameter) -> Tensor
}

extension ParameterBuffers: ParameterValues {}

extension ParameterSet: ParameterValues {
    public func matrix(_ parameter: Parameter) -> Matrix {
        makeUnique(parameter.segment)
        return parameter.matrix
    }

    public func vector(_ parameter: Parameter) -> Tensor {
        makeUnique(parameter.segment)
        return parameter.vector
    }
}

extension Parameter {
    /// Calls `body` for stretches of 256 rows, row-major and on several threads at once; a vector is one stretch of rows of one value.
    /// - Parameters:
    ///   - writing: values that become what `body` leaves in `written`.
    ///   - reading: values that stay.
    ///   - body: is given the rows, and their values in the order of `writing` and of `reading`.
    /// - Returns: what `body` gave, in the order of the rows.
    public func mapRows<Result>(
        writing: [any ParameterValues] = [], reading: [any ParameterValues], _ body: (_ rows: Range<Int>, _ written: inout [[Float]], _ read: [[Float]]) -> Result
    ) -> [Result] {
        if isMatrix { return backend.mapRows(writing: writing.map { $0.matrix(self) }, reading: reading.map { $0.matrix(self) }, body) }
        let targets = writing.map { $0.vector(self) }
        var written = targets.map { $0.read() }
        let result = body(0..<shape[0], &written, reading.map { $0.vector(self).read() })
        for (target, values) in zip(targets, written) { backend.write(values, to: target) }
        return [result]
    }
}
