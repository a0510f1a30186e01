/// A matrix in the backend's own layout. `[outputs, inputs]` as it lies on disk.
public struct Matrix {
    public let storage: Storage
    public let offset: Int
    public let outputs: Int
    public let inputs: Int
    public let format: WeightFormat
    /// Whether a product with codes rounds its inputs (`Precision.int8`).
    public var roundsInputs = false
}

/// A stretch of parameters that lie together in memory (a layer, the embedding) and come and go together.
public final class ParameterSegment {
    public let name: String
    public internal(set) var count = 0
    var storage: Storage?
    /// Brings evicted values back, exactly as they were.
    var reload: (() throws -> Storage)?

    init(name: String) { self.name = name }

    public var isResident: Bool { storage != nil }
}

/// A handle to a named weight. Values are reached through it, so that they can be elsewhere until they are needed.
public final class Parameter {
    public let name: String
    /// `[outputs, inputs]`, or `[n]`.
    public let shape: [Int]
    /// The axes that Hugging Face files give it.
    public let fileShape: [Int]
    /// Those files keep `[inputs, outputs]`.
    public let isTransposed: Bool
    public let segment: ParameterSegment
    public internal(set) var format = WeightFormat.float32
    var roundsInputs = false
    /// What is trained beside the weight, which then stays as it is.
    public var update: WeightUpdate?
    /// Codes in blocks that rounded inputs have too.
    var holdsBlocks: Bool { isMatrix && format.isCoded && shape[1] % WeightFormat.eightBitsHalf.group == 0 }
    /// In floats, within the segment.
    var offset = 0
    let backend: any Backend

    init(name: String, shape: [Int], fileShape: [Int]?, isTransposed: Bool, segment: ParameterSegment, backend: any Backend) {
        self.name = name
        self.shape = shape
        self.fileShape = fileShape ?? (isTransposed ? shape.reversed() : shape)
        self.isTransposed = isTransposed
        self.segment = segment
        self.backend = backend
    }

    /// In floats, padding of the backend's layout included.
    var count: Int { isMatrix ? backend.matrixCount(outputs: shape[0], inputs: shape[1], format) : (shape[0] + 15) / 16 * 16 }

    public var isMatrix: Bool { shape.count == 2 }

    /// Row-major values, in the order in which files keep them.
    public func inFileOrder(_ values: [Float]) -> [Float] {
        guard isTransposed else { return values }
        return (0..<shape[1]).flatMap { column in (0..<shape[0]).map { values[$0 * shape[1] + column] } }
    }

    /// The reverse.
    public func fromFileOrder(_ values: [Float]) -> [Float] {
        guard isTransposed else { return values }
        return (0..<shape[0]).flatMap { row in (0..<shape[1]).map { values[$0 * shape[0] + row] } }
    }

    private var resident: Storage {
        guard let storage = segment.storage else { preconditionFailure("'\(name)' is used while its segment '\(segment.name)' is evicted: fetch it first") }
        return storage
    }

    var vector: Tensor {
        precondition(!isMatrix, "'\(name)' is a matrix")
        return Tensor(storage: resident, offset: offset, shape: shape, backend: backend)
    }

    /// The values, for the backend's own calls.
    public var matrix: Matrix {
        precondition(isMatrix, "'\(name)' has shape \(shape), not two axes")
        return Matrix(storage: resident, offset: offset, outputs: shape[0], inputs: shape[1], format: format, roundsInputs: roundsInputs)
    }
}

/// The weights of one model: ordered, named as in the family's Hugging Face files, in one flat run per segment.
///
/// Copies share memory until one of them is written.
public final class ParameterSet {
    public let backend: any Backend
    public private(set) var segments: [ParameterSegment] = []
    public private(set) var parameters: [Parameter] = []
    private var byName: [String: Parameter] = [:]

    public init(on backend: any Backend) { self.backend = backend }

    /// Parameters declared from here on lie in a new segment.
    public func beginSegment(_ name: String) { segments.append(ParameterSegment(name: name)) }

    /// Declares a weight. Layers call this when they are built; values come later.
    /// - Parameters:
    ///   - name: as in Hugging Face files.
    ///   - shape: `[outputs, inputs]`, or `[n]`.
    ///   - fileShape: other axes for the same values in files.
    ///   - isTransposed: files keep `[inputs, outputs]`.
    public func declare(_ name: String, _ shape: Int..., fileShape: [Int]? = nil, isTransposed: Bool = false) -> Parameter {
        precondition(byName[name] == nil, "'\(name)' is declared twice")
        precondition(shape.count == 1 || shape.count == 2, "'\(name)' has shape \(shape); one or two axes are known")
        if segments.isEmpty { beginSegment("model") }
        let parameter = Parameter(name: name, shape: shape, fileShape: fileShape, isTransposed: isTransposed, segment: segments[segments.count - 1], backend: backend)
        place(parameter)
        parameters.append(parameter)
        byName[name] = parameter
        return parameter
    }

    /// Adds a segment to a set that has values already; the new ones begin at 0.
    public func append(segment name: String, _ declarations: () -> Void) {
        beginSegment(name)
        declarations()
        let segment = segments[segments.count - 1]
        segment.storage = backend.allocator.allocate(segment.count, zeroed: true)
    }

    public subscript(name: String) -> Parameter? { byName[name] }

    /// Memory of the values, padding included.
    public var byteCount: Int { segments.reduce(0) { $0 + $1.count * 4 } }

    /// Gives every segment zeroed memory of its own.
    /// - Parameter formats: of matrices; float32 where none is named.
    public func allocate(_ formats: [String: WeightFormat] = [:]) {
        layOut(formats)
        for segment in segments { segment.storage = backend.allocator.allocate(segment.count, zeroed: true) }
    }

    /// Gives every parameter its format and its place, and lets go of all values; `byteCount` is then what `allocate` will take.
    public func layOut(_ formats: [String: WeightFormat] = [:]) {
        for segment in segments {
            segment.count = 0
            segment.storage = nil
            segment.reload = nil
        }
        for parameter in parameters {
            parameter.format = formats[parameter.name] ?? .float32
            parameter.roundsInputs = false
            place(parameter)
        }
    }

    private func place(_ parameter: Parameter) {
        parameter.offset = parameter.segment.count
        parameter.segment.count += parameter.count
    }

    /// Sets a float32 weight from row-major values, some of its rows at a time.
    public func write(_ values: UnsafeBufferPointer<Float>, to parameter: Parameter, rows: Range<Int>? = nil) {
        let segment = parameter.segment
        makeUnique(segment)
        let width = parameter.isMatrix ? parameter.shape[1] : 1
        let rows = rows ?? 0..<parameter.shape[0]
        precondition(values.count == rows.count * width, "\(values.count) values for rows \(rows) of '\(parameter.name)' \(parameter.shape)")
        if parameter.isMatrix {
            backend.writeRows(values, rows: rows, of: parameter.matrix)
        } else {
            backend.write(Array(values), to: parameter.vector.slice(rows))
        }
    }

    /// The values in row-major order.
    public func read(_ parameter: Parameter) -> [Float] {
        if parameter.isMatrix { return backend.readRows(0..<parameter.shape[0], of: parameter.matrix) }
        return parameter.vector.read()
    }

    /// The values in the order of Hugging Face files.
    public func readFileOrder(_ parameter: Parameter) -> [Float] { parameter.inFileOrder(read(parameter)) }

    public func read(_ parameter: Parameter, rows: Range<Int>) -> [Float] {
        parameter.isMatrix ? backend.readRows(rows, of: parameter.matrix) : parameter.vector.slice(rows).read()
    }

    /// Lets go of a segment's memory until `fetch`; `reload` must give the same values back.
    public func evict(_ segment: ParameterSegment, reload: @escaping () throws -> Storage) {
        segment.storage = nil
        segment.reload = reload
    }

    public func fetch(_ segment: ParameterSegment) throws {
        guard segment.storage == nil, let reload = segment.reload else { return }
        segment.storage = try reload()
    }

    /// Makes this set's values those of `other`, sharing its memory until either is written.
    public func share(_ other: ParameterSet) {
        share(other, formats: other.formats)
        for (mine, theirs) in zip(parameters, other.parameters) { mine.roundsInputs = theirs.roundsInputs }
    }

    /// The same with every value in float32: segments that are not share no memory.
    public func shareExpanded(_ other: ParameterSet) { share(other, formats: [:]) }

    /// The same at a precision: segments in which it changes a format share no memory.
    public func share(_ other: ParameterSet, at precision: Precision) {
        share(other, formats: other.formats(at: precision))
        for parameter in parameters { parameter.roundsInputs = precision == .int8 && parameter.holdsBlocks }
    }

    /// Whether a precision computes something else than float32 does.
    public func changes(at precision: Precision) -> Bool {
        formats(at: precision) != formats || parameters.contains { $0.holdsBlocks && $0.roundsInputs != (precision == .int8) }
    }

    private var formats: [String: WeightFormat] { formats(at: .float32) }

    private func formats(at precision: Precision) -> [String: WeightFormat] {
        let matrices = parameters.filter(\.isMatrix)
        return Dictionary(uniqueKeysWithValues: matrices.map { ($0.name, precision.format(of: $0.format, inputs: $0.shape[1])) })
    }

    private func share(_ other: ParameterSet, formats: [String: WeightFormat]) {
        precondition(parameters.map(\.name) == other.parameters.map(\.name) && parameters.map(\.shape) == other.parameters.map(\.shape)
            && segments.map(\.name) == other.segments.map(\.name) && self !== other, "the sets are of different models")
        layOut(formats)
        let pairs = zip(parameters, other.parameters)
        let changed = Set(pairs.filter { $0.format != $1.format }.map { ObjectIdentifier($0.0.segment) })
        for (mine, theirs) in zip(segments, other.segments) {
            mine.storage = changed.contains(ObjectIdentifier(mine)) ? backend.allocator.allocate(mine.count, zeroed: true) : theirs.storage
        }
        for (mine, theirs) in pairs where changed.contains(ObjectIdentifier(mine.segment)) {
            if mine.isMatrix { backend.convert(theirs.matrix, into: mine.matrix) } else { backend.copy(theirs.vector, to: mine.vector) }
        }
    }

    /// The segment's memory, owned by this set alone.
    func makeUnique(_ segment: ParameterSegment) {
        precondition(segment.storage != nil, "segment '\(segment.name)' has no memory yet")
        if isKnownUniquelyReferenced(&segment.storage) { return }
        let shared = segment.storage!
        let own = backend.allocator.allocate(segment.count)
        backend.copy(Tensor(storage: shared, shape: [segment.count], backend: backend), to: Tensor(storage: own, shape: [segment.count], backend: backend))
        segment.storage = own
    }
}

/// Gradients of the trainable parameters.
public typealias Gradients = ParameterBuffers

/// One value for every entry of the trainable parameters, laid out as they are: gradients, or an optimizer's moments.
public final class ParameterBuffers {
    public let parameters: ParameterSet
    private var storages: [Storage] = []
    private var places: [ObjectIdentifier: (storage: Storage, offset: Int)] = [:]

    /// All values begin at 0. Parameters that `isTrainable` refuses are frozen and cost no memory; the others of a segment lie together.
    public init(of parameters: ParameterSet, where isTrainable: (Parameter) -> Bool = { _ in true }) {
        self.parameters = parameters
        let trained = parameters.parameters.filter(isTrainable), bySegment = Dictionary(grouping: trained) { ObjectIdentifier($0.segment) }
        for parameter in trained {
            precondition(parameter.format == .float32, "'\(parameter.name)' is held as \(parameter.format) and cannot train: train a copy that is expanded, Transformer.copy(expanding: true)")
        }
        for segment in parameters.segments {
            guard let own = bySegment[ObjectIdentifier(segment)] else { continue }
            let storage = parameters.backend.allocator.allocate(own.reduce(0) { $0 + $1.count }, zeroed: true)
            storages.append(storage)
            var offset = 0
            for parameter in own {
                places[ObjectIdentifier(parameter)] = (storage, offset)
                offset += parameter.count
            }
        }
    }

    /// Work on the gradients that waits until every micro-batch has been differentiated.
    ///
    /// A table that is also the vocabulary head gets its gradient from two ops; with the lookups last, the order of all
    /// additions does not depend on where the batch was cut.
    private var deferred: [() -> Void] = []

    func `defer`(_ work: @escaping () -> Void) { deferred.append(work) }

    private func settle() {
        for work in deferred { work() }
        deferred.removeAll()
    }

    public func trains(_ parameter: Parameter) -> Bool { places[ObjectIdentifier(parameter)] != nil }

    private func place(_ parameter: Parameter) -> (storage: Storage, offset: Int) {
        guard let place = places[ObjectIdentifier(parameter)] else { preconditionFailure("'\(parameter.name)' is frozen and has no values here") }
        return place
    }

    public func vector(_ parameter: Parameter) -> Tensor {
        let (storage, offset) = place(parameter)
        return Tensor(storage: storage, offset: offset, shape: parameter.shape, backend: parameters.backend)
    }

    /// The values of a parameter's matrix, for the backend's own calls.
    public func matrix(_ parameter: Parameter) -> Matrix {
        let (storage, offset) = place(parameter)
        return Matrix(storage: storage, offset: offset, outputs: parameter.shape[0], inputs: parameter.shape[1], format: .float32)
    }

    /// The gradient in row-major order.
    public func read(_ parameter: Parameter) -> [Float] {
        settle()
        return parameter.isMatrix ? parameters.backend.readRows(0..<parameter.shape[0], of: matrix(parameter)) : vector(parameter).read()
    }

    /// Sets the values of one parameter, in row-major order.
    public func write(_ values: UnsafeBufferPointer<Float>, to parameter: Parameter) {
        precondition(values.count == parameter.shape.reduce(1, *), "\(values.count) values for '\(parameter.name)' \(parameter.shape)")
        if parameter.isMatrix {
            parameters.backend.writeRows(values, rows: 0..<parameter.shape[0], of: matrix(parameter))
        } else {
            parameters.backend.write(Array(values), to: vector(parameter))
        }
    }

    public var byteCount: Int { storages.reduce(0) { $0 + $1.count * 4 } }

    public func clear() {
        deferred.removeAll()
        for storage in storages { parameters.backend.fill(Tensor(storage: storage, shape: [storage.count], backend: parameters.backend), with: 0) }
    }

    /// The Euclidean norm over all trainable parameters, summed in blocks of 4,096 in Double, in parameter order.
    public func norm() -> Double {
        settle()
        var sum = 0.0
        for parameter in parameters.parameters where trains(parameter) {
            sum += parameters.backend.sumOfSquares(flat(parameter))
        }
        return sum.squareRoot()
    }

    /// The stretch of the flat buffer that belongs to a parameter, padding included.
    public func flat(_ parameter: Parameter) -> Tensor {
        settle()
        let (storage, offset) = place(parameter)
        return Tensor(storage: storage, offset: offset, shape: [parameter.count], backend: parameters.backend)
    }
}

extension ParameterSet {
    /// The stretch of memory that belongs to a parameter, owned by this set alone, padding included.
    public func flat(_ parameter: Parameter) -> Tensor {
        makeUnique(parameter.segment)
        return Tensor(storage: parameter.segment.storage!, offset: parameter.offset, shape: [parameter.count], backend: backend)
    }
}

extension ParameterSet {
    /// Sets a weight from rows that `read` provides, a panel of rows at a time and on several threads at once.
    public func fill(_ parameter: Parameter, reading read: (_ rows: Range<Int>, _ values: UnsafeMutableBufferPointer<Float>) throws -> Void) throws {
        makeUnique(parameter.segment)
        if parameter.isMatrix {
            try backend.fillRows(of: parameter.matrix, reading: read)
        } else {
            var values = [Float](repeating: 0, count: parameter.shape[0])
            try values.withUnsafeMutableBufferPointer { try read(0..<parameter.shape[0], $0) }
            backend.write(values, to: parameter.vector)
        }
    }

    /// Sets a matrix of codes in the same way.
    public func fillCodes(_ parameter: Parameter, reading read: (_ rows: Range<Int>, _ values: CodedRows) throws -> Void) throws {
        makeUnique(parameter.segment)
        try backend.fillCodes(of: parameter.matrix, reading: read)
    }
}
