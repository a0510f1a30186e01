import Foundation

/// A model in several safetensors files, listed in `model.safetensors.index.json`.
///
/// The tensors are those of the index; what else lies in the shards is not seen.
public final class ShardedSafetensors: TensorFile {
    /// The index.
    public let path: String
    /// Shard by shard, in the order in which the index first names them. `byteOffset` counts inside the shard.
    public let tensors: [TensorInfo]

    private let shards: [SafetensorsFile]
    private let shardOfTensor: [Int]  // by place in `tensors`
    private let names: TensorNames

    /// Opens every shard and finds every tensor where the index says.
    /// - Throws: `FileError`, or `JSONError` when the index or the header of a shard is not JSON.
    public init(indexPath: String) throws {
        path = indexPath
        func broken(_ problem: String, _ advice: String = "Fetch the index again.") -> FileError {
            FileError(file: indexPath, problem: problem, advice: advice)
        }
        guard let map = try JSON.read(path: indexPath)["weight_map"]?.object else {
            throw broken("holds no object 'weight_map'")
        }
        var shardNames: [String] = []
        var wanted: [UTF8Key: Set<UTF8Key>] = [:]  // shard name to tensor names
        for (tensor, value) in map.members {
            guard let shard = value.string else { throw broken("the shard of '\(tensor)' is \(value.kind), not a string") }
            // Anything but a plain file name could lead out of the folder.
            guard !shard.hasPrefix("."), !shard.utf8.contains(where: { $0 == 0 || $0 == 0x2F || $0 == 0x5C }),
                shard.hasSuffix(".safetensors")
            else {
                throw broken(
                    "the shard of '\(tensor)' is '\(shard)', which is not the name of a .safetensors file in the same folder",
                    "Do not use this index: it reaches for files outside its folder.")
            }
            if wanted[UTF8Key(shard)] == nil { shardNames.append(shard) }
            wanted[UTF8Key(shard), default: []].insert(UTF8Key(tensor))
        }

        let folder = (indexPath as NSString).deletingLastPathComponent
        var shards: [SafetensorsFile] = []
        var tensors: [TensorInfo] = []
        var shardOfTensor: [Int] = []
        var names = TensorNames()
        for name in shardNames {
            let shardPath = (folder as NSString).appendingPathComponent(name)
            guard FileManager.default.fileExists(atPath: shardPath) else {
                throw broken("names the shard '\(name)', which is not in the folder", "Fetch the missing shard.")
            }
            let shard = try SafetensorsFile(path: shardPath)
            let expected = wanted[UTF8Key(name)]!
            for tensor in expected.sorted(by: { $0.string < $1.string }) where shard.info(tensor.string) == nil {
                throw broken(
                    "says that '\(tensor.string)' lies in '\(name)', where it does not",
                    "Fetch the index and the shards from the same revision.")
            }
            for info in shard.tensors where expected.contains(UTF8Key(info.name)) {
                _ = names.insert(info.name, tensors.count)  // each name stands once in the index
                tensors.append(info)
                shardOfTensor.append(shards.count)
            }
            shards.append(shard)
        }
        self.shards = shards
        self.tensors = tensors
        self.shardOfTensor = shardOfTensor
        self.names = names
    }

    public func info(_ name: String) -> TensorInfo? { names[name].map { tensors[$0] } }

    public func bytes(_ info: TensorInfo) -> UnsafeRawBufferPointer {
        guard let place = names[info.name] else {
            preconditionFailure("'\(info.name)' is no tensor of \(path)")
        }
        return shards[shardOfTensor[place]].bytes(info)
    }
}
