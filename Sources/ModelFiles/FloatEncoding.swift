// From Float to what a file holds, with a look at every value: the opposite of `DType.expand`.

extension DType {
    /// Whether `encode` writes this type.
    public var isEncodable: Bool {
        switch self {
        case .f32, .f16, .bf16: true
        default: isQuantizable
        }
    }

    /// Encodes values, or says which one the type cannot hold.
    ///
    /// F16 and BF16 are rounded to nearest, ties to even; infinities and NaN stay what they are. Block types are made by `quantize`.
    /// - Parameters:
    ///   - values: for block types a whole number of blocks.
    ///   - destination: room for exactly the encoded values; does not overlap them.
    ///   - tensor: whose values they are, for the error.
    ///   - offset: how many values of the tensor came before these, for the error.
    ///   - file: the path that the values go to, for the error.
    /// - Throws: `FileError` that names the tensor: a finite value would become infinite, or a block type is given a value that is not
    ///   finite or beyond `quantizableMagnitude`. The destination is then partly written, or not at all.
    /// - Precondition: `isEncodable`, and the count is a multiple of `blockSize`.
    public func encode(
        _ values: UnsafeBufferPointer<Float>, into destination: UnsafeMutableRawBufferPointer, tensor: String, offset: Int = 0, file: String
    ) throws(FileError) {
        precondition(isEncodable, "\(name) is read but not written")
        precondition(destination.count == byteCount(elements: values.count), "room for \(destination.count) bytes, but \(values.count) values of \(name) come")

        func refused(_ i: Int) -> FileError {
            let reason = values[i].isFinite ? "whose magnitude \(name) cannot hold" : "which \(name) cannot hold"
            let advice = values[i].isFinite ? "Write the tensor as F32." : "Check the weights; a training may have diverged."
            return FileError(file: file, problem: "'\(tensor)' has the value \(values[i]) at \(offset + i), \(reason)", advice: advice)
        }
        switch self {
        case .f32: destination.copyMemory(from: UnsafeRawBufferPointer(values))
        case .f16:
            for i in values.indices {
                let half = halfFromFloat(values[i])
                guard half & 0x7FFF != 0x7C00 || values[i].isInfinite else { throw refused(i) }
                destination.storeBytes(of: half.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
            }
        case .bf16:
            for i in values.indices {
                let bfloat = bfloatFromFloat(values[i])
                guard bfloat & 0x7FFF != 0x7F80 || values[i].isInfinite else { throw refused(i) }
                destination.storeBytes(of: bfloat.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
            }
        default:
            let limit = quantizableMagnitude!
            for i in values.indices where !(abs(values[i]) <= limit) { throw refused(i) }
            quantize(values, into: destination)
        }
    }
}
